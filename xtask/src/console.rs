//! What the commands say.

use std::{env, fmt::Display, io::Write, time::Duration};

use anyhow::{Result, bail};

/// Says a line, on the error stream: the output is for results. A console that was closed is no reason to stop.
pub fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Says what is left out for want of a program. In CI nothing may be.
pub fn leave_out(what: impl Display) -> Result<()> {
    if env::var("CI").is_ok_and(|ci| ci == "true") {
        bail!("{what}");
    }
    say(what);
    Ok(())
}

/// Prints a line of a result.
pub fn print(text: impl Display) {
    let mut console = std::io::stdout().lock();
    let _ = writeln!(console, "{text}").and_then(|()| console.flush());
}

/// A span of time, as short as it is readable.
pub fn short(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..10 => format!("{:.1} s", time.as_secs_f64()),
        10..100 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        assert_eq!(short(Duration::from_millis(42)), "42 ms");
        assert_eq!(short(Duration::from_millis(1_270)), "1.3 s");
        assert_eq!(short(Duration::from_secs(42)), "42 s");
        assert_eq!(short(Duration::from_secs(200)), "3 min 20 s");
    }
}
