//! The tests are in `tests/`: the unit of work (`sql/`) on libSQL's own engine.
