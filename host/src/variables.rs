//! The variables of the application, and the templates (`"{{ name }}"`) that use them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use crate::{
    bindings::spin::variables::variables::{Error, Host, HostWithStore},
    manifest::Variable,
    state::State,
};
use wasmtime::component::{Accessor, HasSelf};

/// The values of all variables of the application.
#[derive(Debug)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Takes each value from where it is set: `given` on the command line, then `SPIN_VARIABLE_<NAME>` in the
    /// environment, then the default in the manifest.
    pub fn resolve(
        declared: &BTreeMap<String, Variable>,
        given: &[(String, String)],
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let given: BTreeMap<_, _> = given.iter().cloned().collect();
        for name in given.keys() {
            ensure!(
                declared.contains_key(name),
                "--variable {name}: the manifest has no such variable; declare it in [variables]"
            );
        }
        let mut values = BTreeMap::new();
        for (name, variable) in declared {
            let key = format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase());
            let value = given.get(name).cloned().or_else(|| environment(&key)).or_else(|| variable.default.clone());
            match value {
                Some(value) => values.insert(name.clone(), value),
                None => {
                    bail!("the variable `{name}` is required and has no value; set {key} or pass --variable {name}=…")
                }
            };
        }
        Ok(Self(values))
    }

    /// Puts the values into a template.
    pub fn expand(&self, template: &str) -> Result<String> {
        let mut text = String::new();
        let mut rest = template;
        while let Some((literal, after)) = rest.split_once("{{") {
            let (name, after) =
                after.split_once("}}").with_context(|| format!("`{template}`: a `{{{{` without its `}}}}`"))?;
            let name = name.trim();
            let value = self
                .0
                .get(name)
                .with_context(|| format!("`{template}`: there is no variable `{name}`; declare it in [variables]"))?;
            text.push_str(literal);
            text.push_str(value);
            rest = after;
        }
        text.push_str(rest);
        Ok(text)
    }
}

impl Host for State {}

impl<T> HostWithStore<T> for HasSelf<State> {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<String, Error> {
        accessor.with(|mut access| {
            let component = &access.get().component;
            match component.variables.get(&name) {
                Some(value) => Ok(value.clone()),
                None => Err(Error::Undefined(format!(
                    "component `{}` has no variable `{name}`; give it one in [component.{}.variables]",
                    component.id, component.id
                ))),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::manifest::Manifest;

    fn declared(toml: &str) -> BTreeMap<String, Variable> {
        let text = format!("spin_manifest_version = 2\n[application]\nname = \"a\"\n[variables]\n{toml}");
        Manifest::parse(&text).unwrap().variables
    }

    #[test]
    fn the_command_line_wins_over_the_environment_and_that_over_the_default() {
        let declared = declared("a = { default = \"1\" }\nb = { default = \"1\" }\nc = { default = \"1\" }");
        let given = [("a".to_string(), "3".to_string())];
        let environment = |key: &str| (key != "SPIN_VARIABLE_C").then(|| "2".to_string());
        let variables = Variables::resolve(&declared, &given, environment).unwrap();
        assert_eq!(variables.expand("{{ a }}-{{b}}-{{ c }}").unwrap(), "3-2-1");
    }

    #[test]
    fn a_required_variable_without_a_value_is_named() {
        let error = Variables::resolve(&declared("token = { required = true }"), &[], |_| None).unwrap_err();
        assert!(error.to_string().contains("`token` is required"), "{error}");
    }

    #[test]
    fn a_template_with_an_unknown_variable_is_refused() {
        let variables = Variables::resolve(&BTreeMap::new(), &[], |_| None).unwrap();
        let error = variables.expand("http://{{ nowhere }}").unwrap_err();
        assert!(error.to_string().contains("`nowhere`"), "{error}");
        assert!(variables.expand("{{ open").is_err());
    }
}
