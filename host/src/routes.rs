//! Which component answers on which path.

use crate::manifest::{HttpTrigger, Route};

/// The public routes.
pub struct Routes(Vec<Entry>);

/// A route and its component.
pub struct Entry {
    /// As it stands in the manifest.
    pub route: String,
    /// The id of the component.
    pub component: String,
    prefix: String,
    wildcard: bool,
}

impl Routes {
    /// The routes of the triggers; private ones are none.
    pub fn new(triggers: &[HttpTrigger]) -> Self {
        let entries = triggers.iter().filter_map(|trigger| match &trigger.route {
            Route::Private(_) => None,
            Route::Public(route) => {
                let prefix = route.strip_suffix("/...");
                Some(Entry {
                    route: route.clone(),
                    component: trigger.component.clone(),
                    prefix: prefix.unwrap_or(route).trim_end_matches('/').to_string(),
                    wildcard: prefix.is_some(),
                })
            }
        });
        Self(entries.collect())
    }

    /// All of them, in the order of the manifest.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    /// The route for a path: the exact one, or else the one with the longest prefix. Also returned: what comes after it.
    pub fn find<'a>(&self, path: &'a str) -> Option<(&Entry, &'a str)> {
        self.0
            .iter()
            .filter_map(|entry| Some((entry, entry.rest(path)?)))
            .max_by_key(|(entry, _)| (!entry.wildcard, entry.prefix.len()))
    }
}

impl Entry {
    /// The path without its wildcard.
    pub fn prefix(&self) -> &str {
        self.route.strip_suffix("/...").unwrap_or(&self.route)
    }

    /// What of the path is covered by the wildcard; `None` if the route does not match.
    fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.prefix.as_str())?;
        if self.wildcard {
            (rest.is_empty() || rest.starts_with('/')).then_some(rest)
        } else {
            matches!(rest, "" | "/").then_some("")
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::manifest::Manifest;

    fn routes() -> Routes {
        let mut toml =
            "spin_manifest_version = 2\n[application]\nname = \"a\"\n[component.c]\nsource = \"c.wasm\"\n".to_string();
        for route in ["/...", "/orders/...", "/orders/new", "/orders/a/...", "/health"] {
            toml += &format!("[[trigger.http]]\ncomponent = \"c\"\nroute = \"{route}\"\n");
        }
        toml += "[[trigger.http]]\ncomponent = \"c\"\nroute = { private = true }\n";
        Routes::new(&Manifest::parse(&toml).unwrap().http)
    }

    #[test]
    fn the_exact_route_wins_and_then_the_longest() {
        for (path, route, rest) in [
            ("/orders", "/orders/...", ""),
            ("/orders/", "/orders/...", "/"),
            ("/orders/1/cancel", "/orders/...", "/1/cancel"),
            ("/orders/new", "/orders/new", ""),
            ("/orders/a", "/orders/a/...", ""),
            ("/orders/a/b", "/orders/a/...", "/b"),
            ("/ordersome", "/...", "/ordersome"),
            ("/health/", "/health", ""),
            ("/healthy", "/...", "/healthy"),
            ("/", "/...", "/"),
        ] {
            let routes = routes();
            let (entry, found) = routes.find(path).unwrap();
            assert_eq!((entry.route.as_str(), found), (route, rest), "{path}");
        }
    }
}
