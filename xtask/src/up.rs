//! `cargo xtask up`: from the sources to a shop that answers.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    path::{PathBuf, absolute},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use token::Claims;
use tokio::time::sleep;

use crate::{
    app::{App, Launch},
    build,
    client::{Client, by, post_nothing},
    console::{say, short},
    people::{self, Kept},
    process::Ending,
    project::Project,
    redis::{Redis, ping, without_password},
    seed, spin,
};

/// How often every context is made to catch up.
const CATCH_UP: Duration = Duration::from_secs(10);
/// How long the app may take to end: as long as the host gives to the requests in flight, and a little.
const PATIENCE: Duration = Duration::from_secs(11);

/// Build the shop and run it.
#[derive(Args)]
pub struct Up {
    /// Run on the bundled host
    #[arg(long, conflicts_with = "spin")]
    host: bool,
    /// Run on Spin, and fail if it cannot be used
    #[arg(long)]
    spin: bool,
    /// Where to listen; a free port is taken instead of one that is not free
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Sign up some people, register a few kits, and place an order, to begin with
    #[arg(long)]
    seed: bool,
    /// Show the components' log lines, too; they are in `logs/` beside the databases in any case
    #[arg(long)]
    logs: bool,
    /// Where databases and logs are; `.spin` beside spin.toml if it is not given
    #[arg(long)]
    state_dir: Option<PathBuf>,
    /// Set a variable of spin.toml: name=value; `SPIN_VARIABLE_<NAME>` in the environment does the same
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = name_and_value)]
    variables: Vec<(String, String)>,
    /// Do without Redis: the bells ring by service chaining
    #[arg(long)]
    no_redis: bool,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// How the bells ring.
struct Bells {
    /// The Redis that they ring over; without one, they ring by service chaining.
    redis_address: Option<String>,
    /// That Redis, if it is one of our own.
    own: Option<Redis>,
}

impl Up {
    /// Builds and runs the shop until it is asked to end.
    pub async fn run(mut self, project: &Project) -> Result<()> {
        self.check_variables(project)?;
        let program = self.choose_program(project)?;
        build::components(project, &[])?;
        if program == project.host() {
            build::host(project)?;
        }
        // From here on nothing may be left behind.
        let mut ending = Ending::new()?;
        let bells = self.choose_bells(project).await?;
        let listen = free_address(self.listen)?;
        let state = absolute(self.state_dir.take().unwrap_or_else(|| project.state()))?;
        let mut kept = Kept::open(&state, listen)?;
        let given = |name| self.variable(name, project).filter(|value| !value.is_empty());
        kept.signing_key = given("signing_key").unwrap_or(kept.signing_key);
        let code = given("first_operator").map_or_else(people::random, Ok)?;
        let mut secrets = vec![("signing_key", kept.signing_key.clone())];
        if self.seed {
            secrets.push(("first_operator", code.clone()));
        }
        let launch = Launch {
            program,
            manifest: match bells.redis_address {
                Some(_) => project.spin_toml(),
                None => project.write_http_manifest()?,
            },
            listen,
            metrics: None,
            logs: self.logs,
            state,
            variables: self.variables_with(&bells),
            secrets,
            output: None,
        };
        let mut app = launch.start()?;
        let outcome = tokio::select! {
            () = ending.asked() => Ok(()),
            outcome = serve(&mut app, kept, self.seed.then_some(&*code)) => outcome,
        };
        end(app, bells, &mut ending).await;
        outcome
    }

    fn check_variables(&self, project: &Project) -> Result<()> {
        for (name, _) in &self.variables {
            ensure!(
                project.manifest.default(name).is_some(),
                "--variable {name}: spin.toml has no such variable; its [variables] lists them"
            );
        }
        Ok(())
    }

    /// The program to run the shop on.
    fn choose_program(&self, project: &Project) -> Result<PathBuf> {
        if self.host {
            say("The shop will run on the bundled host, as asked for.");
            return Ok(project.host());
        }
        match spin::usable() {
            Ok(version) => {
                say(format!("The shop will run on Spin {version}."));
                Ok("spin".into())
            }
            Err(reason) if self.spin => bail!("--spin: {reason}; https://spinframework.dev/install says how to get it"),
            Err(reason) => {
                say(format!("The shop will run on the bundled host: {reason}."));
                Ok(project.host())
            }
        }
    }

    /// How the bells will ring: over the Redis that is configured, else over one of our own, else without.
    async fn choose_bells(&self, project: &Project) -> Result<Bells> {
        let without = |reason: &str| {
            say(format!("Bells: by service chaining, without Redis ({reason})."));
            Ok(Bells { redis_address: None, own: None })
        };
        if self.no_redis {
            return without("as asked for");
        }
        if self.variable("bell", project).as_deref() == Some("http") {
            return without("the variable bell is http");
        }
        let address = self.variable("redis_address", project).context("spin.toml has no variable redis_address")?;
        let Err(refusal) = ping(&address) else {
            say(format!("Bells: over the Redis at {}.", without_password(&address)));
            return Ok(Bells { redis_address: Some(address), own: None });
        };
        let refusal = format!("no Redis answers at {}: {refusal:#}", without_password(&address));
        if !Redis::is_installed() {
            return without(&format!("{refusal}; and redis-server is not installed"));
        }
        let own = Redis::start().await?;
        say(format!("Bells: over a redis-server of our own at {}, which ends with the shop ({refusal}).", own.address));
        Ok(Bells { redis_address: Some(own.address.clone()), own: Some(own) })
    }

    /// The value that a variable of the manifest will have.
    fn variable(&self, name: &str, project: &Project) -> Option<String> {
        let given = self.variables.iter().rev().find(|(it, _)| it == name).map(|(_, value)| value.clone());
        given
            .or_else(|| env::var(format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase())).ok())
            .or_else(|| project.manifest.default(name).map(str::to_owned))
    }

    /// The variables that were given, and what the choice of the bells means for them.
    fn variables_with(&self, bells: &Bells) -> Vec<(String, String)> {
        let others = self.variables.iter().filter(|(name, _)| name != "bell" && name != "redis_address").cloned();
        let chosen = match &bells.redis_address {
            Some(address) => vec![("bell", "redis"), ("redis_address", address)],
            None => vec![("bell", "http")],
        };
        others.chain(chosen.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()))).collect()
    }
}

/// Waits for the first answer, has a shop to begin with if there is a code for its first operator, and waits for the end of
/// the app.
async fn serve(app: &mut App, mut kept: Kept, code: Option<&str>) -> Result<()> {
    let listen = kept.address;
    let time = app.answers("/products").await?;
    people::publish_key(listen).await?;
    say(format!("\nThe shop answers at http://{listen}, {} after its start. Ctrl-C ends it.", short(time)));
    say(format!("Every {} it is told to catch up, as a cron does where it is deployed.", short(CATCH_UP)));
    match code {
        Some(code) => seed::seed(&mut kept, code).await?,
        None => say(format!(
            "Try: curl -s http://{listen}/products (with --seed there are people and kits to begin with)\n"
        )),
    }
    tokio::select! {
        status = app.process.ended() => bail!("the app has ended by itself ({}); what it printed says why", status?),
        () = catch_up_now_and_then(&kept) => Ok(()),
    }
}

/// What a cron does where the shop is deployed: whatever was left open is settled, though nobody asks.
async fn catch_up_now_and_then(kept: &Kept) {
    loop {
        sleep(CATCH_UP).await;
        if let Err(error) = catch_up(kept).await {
            say(format!("The catch-up failed, and is tried again in {}: {error:#}", short(CATCH_UP)));
        }
    }
}

/// By a service that may do nothing else. It needs no operator, for there may be none.
async fn catch_up(kept: &Kept) -> Result<()> {
    let scope = Some("catch-up".to_owned());
    let token = people::mint(&kept.signing_key, "xtask", |claims| Claims { scope, ..claims })?;
    let call = by(&token, post_nothing("/catch-up")?)?;
    Client::connect(kept.address).await?.send(call).await?.json().map(drop)
}

/// Ends the app and then its Redis; asked a second time, at once.
async fn end(mut app: App, bells: Bells, ending: &mut Ending) {
    if !app.process.has_ended() {
        say("\nThe shop ends, after the requests in flight. Once more to end it at once.");
        tokio::select! {
            ended = app.process.stop(PATIENCE) => if !ended {
                say(format!("It did not end within {}, and was killed.", short(PATIENCE)));
            },
            () = ending.asked() => {}
        }
    }
    drop(app);
    if let Some(own) = bells.own {
        own.stop().await;
    }
    say("The shop has ended.");
}

/// The address that was asked for, or one with a free port.
fn free_address(wanted: SocketAddr) -> Result<SocketAddr> {
    let bound = TcpListener::bind(wanted);
    if let Err(error) = &bound {
        say(format!("{wanted} cannot be listened on ({error}); a free port is taken instead."));
    }
    // Port 0 means any.
    let listener = bound.or_else(|_| TcpListener::bind((wanted.ip(), 0)));
    let listener = listener.with_context(|| format!("{} is no address of this machine; see --listen", wanted.ip()))?;
    Ok(listener.local_addr()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_port_that_is_taken_is_replaced() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let wanted = taken.local_addr().unwrap();
        let free = free_address(wanted).unwrap();
        assert_eq!(free.ip(), wanted.ip());
        assert_ne!(free.port(), wanted.port());
        assert_ne!(free_address("127.0.0.1:0".parse().unwrap()).unwrap().port(), 0);
    }
}
