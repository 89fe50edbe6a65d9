//! journal: the log as outsiders see it, the periodic catch-up, the doorbells where there is no Redis, and what operators
//! need: health, figures, dead letters. It is no bounded context: it decides nothing and remembers nothing.

mod contexts;
mod dead_letters;
mod events;
mod health;
pub mod http;
mod journal;
mod metrics;

kernel::component!("journal", http::routes);
