//! Who may use which route: what the components declare, as a page for people (`docs/access.md`), and as clients are told it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "whatever goes wrong here is a failed test"
)]

use contract_tests::{Api, root};
use http::Method;
use kernel::{
    Context, Kernel,
    http::{Access, Declared, INTERNAL, READY, Routes},
    testing::{Native, declared},
};
use serde_json::json;
use std::{collections::BTreeSet, env, fs, sync::Arc};

/// Set it to write the page.
const NEW: &str = "NEW_GOLDEN";

const PAGE: &str = "\
# Who may do what

Every route says who may use it, where it is made; one that does not say so does not compile. This page is what they say,
written by `NEW_GOLDEN=1 cargo test -p contract-tests --test access`.

Who nobody knows gets a 401, whose role may not do it a 403. What is whose is decided where it is decided what happens
to it (`decide`), and in the statement that reads a list: what is not yours is 404, as if it were not there.

| whose | who may |
|---|---|
| orders | see: their member, their seller (who is told the address once they are paid), operators; cancel: their member, an operator who says why |
| payments, my pages | see: their member, operators |
| deliveries | see: their member, their courier, operators; complete: their member, their courier, an operator who says why |
| kits | change: who sells them, operators |
| notifications | read: whom they are for, as what they are (member or seller), operators |

\"Contexts\" are the parts of the shop, which sign what they ask of each other
([0023](decisions/0023-signed-calls.md)).
";

/// What a component declares.
struct Component {
    name: &'static str,
    declared: Vec<Declared>,
}

async fn context<C: Context>(routes: fn(Arc<Kernel<C>>) -> Routes) -> Component {
    let kernel = Kernel::<C>::open(Native::new()).await.unwrap();
    Component { name: C::NAME, declared: declared(&kernel, routes(kernel.clone())) }
}

async fn components() -> Vec<Component> {
    let journal = journal::http::routes(Native::new()).await;
    vec![
        context(product::http::routes).await,
        context(order::http::routes).await,
        context(payment::http::routes).await,
        context(delivery::http::routes).await,
        context(marketing::http::routes).await,
        context(customer_center::http::routes).await,
        context(member::http::routes).await,
        Component { name: "journal", declared: journal.declared().cloned().collect() },
    ]
}

fn is_private(route: &Declared) -> bool {
    route.path.starts_with(INTERNAL) || route.path == "/bell"
}

fn line(name: &str, Declared { method, path, access }: &Declared) -> String {
    format!("| {name} | `{method} {path}` | {access} |\n")
}

#[tokio::test]
async fn the_page_says_what_the_routes_declare() {
    let components = components().await;
    let mut page = format!("{PAGE}\n## Public routes\n\n| component | route | who may |\n|---|---|---|\n");
    let mut private = BTreeSet::new();
    for Component { name, declared } in &components {
        for route in declared {
            if is_private(route) {
                private.insert(line("each", route))
            } else {
                page += &line(name, route);
                false
            };
        }
    }
    // Most of those that are private each context has.
    let of_one = |route: &Declared| components.iter().filter(|it| it.declared.contains(route)).count() == 1;
    for Component { name, declared } in &components {
        for route in declared.iter().filter(|route| is_private(route) && of_one(route)) {
            private.remove(&line("each", route));
            private.insert(line(name, route));
        }
    }
    page += "\n## Routes between contexts\n\n| component | route | who may |\n|---|---|---|\n";
    page.extend(private);
    println!("{page}");
    let path = root().join("docs/access.md");
    if env::var_os(NEW).is_some() {
        return fs::write(path, page).unwrap();
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(page, written, "write it with `{NEW}=1 cargo test -p contract-tests --test access`");
}

#[tokio::test]
async fn contexts_are_called_by_contexts_only() {
    for Component { name, declared } in components().await {
        for route in declared {
            let is_for_contexts = route.access == Access::Context;
            assert_eq!(is_for_contexts, is_private(&route) && route.path != READY, "{name}: {route:?}");
        }
    }
}

#[tokio::test]
async fn nobody_writes_anything_without_a_name_but_theirs() {
    let mut found = BTreeSet::new();
    for Component { declared, .. } in components().await {
        let is_open = |route: &Declared| matches!(route.access, Access::Everybody | Access::Anybody);
        let writes = |route: &Declared| ![Method::GET, Method::HEAD].contains(&route.method);
        found.extend(declared.into_iter().filter(|it| is_open(it) && writes(it)).map(|it| it.path));
    }
    let sign_in = ["/members", "/sessions", "/sessions/refresh"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(sign_in));
}

/// A path without the names of its parameters.
fn shape(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn clients_are_told_which_routes_there_are_and_which_want_a_token() {
    let api = Api::shop();
    let told = api.operations();
    let mut missing = told.iter().map(|(method, path, _)| format!("{method} {}", shape(path))).collect::<BTreeSet<_>>();
    for Component { declared, .. } in components().await {
        for route in &declared {
            let method = route.method.as_str().to_lowercase();
            missing.remove(&format!("{method} {}", shape(&route.path)));
            let operation = told.iter().find(|(it, path, _)| *it == method && shape(path) == shape(&route.path));
            // What is between contexts, clients need not know.
            if is_private(route) {
                continue;
            }
            let (_, _, operation) = operation.unwrap_or_else(|| panic!("the contract does not know {route:?}"));
            let is_open = matches!(route.access, Access::Everybody | Access::Anybody);
            assert_eq!(operation["security"] == json!([]), is_open, "{route:?}: {}", operation["security"]);
        }
    }
    assert_eq!(missing, BTreeSet::new(), "nobody declares them");
}
