//! How a document becomes another.

use std::fmt;

use json_patch::{Patch, PatchOperation};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{json, migration::expression::Expression, schema::Validator};

/// Most operations of a patch, and most expressions of a rewrite.
const STEPS_MAX: usize = 1_000;

/// What turns a document into another. The slot where code of other kinds will stand.
pub trait Rewrite: fmt::Debug + Send + Sync {
    /// The document instead of `document`.
    ///
    /// # Errors
    /// Why there is none.
    fn rewrite(&self, document: Json) -> Result<Json, String>;
}

/// How documents are rewritten, as it is stored.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rewriting {
    /// A JSON Patch (RFC 6902).
    Patch(Json),
    /// A JSON Merge Patch (RFC 7396).
    Merge(Json),
    /// Fields that get the values of expressions, and fields that go.
    Set(Fields),
    /// An expression whose value is the document.
    Expression(String),
}

/// Fields of a document that change. Names are JSON pointers, or those of fields at the top.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields {
    /// What each field becomes: an expression that sees the document, as it was, as `doc`.
    #[serde(default)]
    pub fields: std::collections::BTreeMap<String, String>,
    /// Fields that are removed, where they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// Which documents are rewritten, as it is stored.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Predicate {
    /// Those for which an expression is true.
    Expression(String),
    /// Those that fit a schema.
    Fits(Json),
}

/// A predicate, ready for use.
pub(crate) enum Matcher {
    Expression(Box<Expression>),
    Fits(Box<Validator>),
}

impl Matcher {
    pub(crate) fn compile(predicate: &Predicate) -> Result<Self, String> {
        match predicate {
            Predicate::Expression(source) => {
                Expression::compile(source).map(|expression| Self::Expression(Box::new(expression)))
            }
            Predicate::Fits(schema) => {
                Validator::of(schema.clone()).map(|validator| Self::Fits(Box::new(validator)))
            }
        }
    }

    pub(crate) fn matches(&self, document: &Json) -> Result<bool, String> {
        match self {
            Self::Expression(expression) => expression.is_true(document),
            Self::Fits(validator) => Ok(validator.violations(document).is_empty()),
        }
    }
}

impl Rewriting {
    /// Makes it ready for use.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(&self) -> Result<Box<dyn Rewrite>, String> {
        Ok(match self {
            Self::Patch(patch) => {
                let Patch(operations) =
                    Patch::deserialize(patch).map_err(|error| format!("the patch is not one: {error}"))?;
                check_count(operations.len())?;
                Box::new(Patching(operations))
            }
            Self::Merge(patch) => {
                json::size(patch).ok_or("the merge patch is too large, or nested too deep")?;
                Box::new(Merging(patch.clone()))
            }
            Self::Set(fields) => Box::new(Setting::compile(fields)?),
            Self::Expression(source) => Box::new(Expression::compile(source)?),
        })
    }
}

fn check_count(count: usize) -> Result<(), String> {
    match count > STEPS_MAX {
        true => Err(format!("it has {count} steps; at most {STEPS_MAX} are allowed")),
        false => Ok(()),
    }
}

#[derive(Debug)]
struct Patching(Vec<PatchOperation>);

impl Rewrite for Patching {
    fn rewrite(&self, mut document: Json) -> Result<Json, String> {
        for (index, operation) in self.0.iter().enumerate() {
            let step = std::slice::from_ref(operation);
            json_patch::patch_unsafe(&mut document, step)
                .map_err(|error| format!("operation {index} of the patch: {}", error.kind))?;
            // Copies double what is there: a few of them would fill the memory.
            if matches!(operation, PatchOperation::Copy(_)) {
                check_size(&document)?;
            }
        }
        check_size(&document)?;
        Ok(document)
    }
}

fn check_size(document: &Json) -> Result<(), String> {
    json::size(document).map(drop).ok_or_else(|| {
        format!(
            "it becomes longer than {} bytes, or nested deeper than {}",
            json::DOCUMENT_LEN_MAX,
            json::DEPTH_MAX
        )
    })
}

#[derive(Debug)]
struct Merging(Json);

impl Rewrite for Merging {
    fn rewrite(&self, mut document: Json) -> Result<Json, String> {
        json_patch::merge(&mut document, &self.0);
        check_size(&document)?;
        Ok(document)
    }
}

#[derive(Debug)]
struct Setting {
    fields: Vec<(String, Expression)>,
    remove: Vec<String>,
}

impl Setting {
    fn compile(fields: &Fields) -> Result<Self, String> {
        check_count(fields.fields.len() + fields.remove.len())?;
        let compile = |(name, source): (&String, &String)| {
            let expression =
                Expression::compile(source).map_err(|error| format!("field {name:?}: {error}"))?;
            Ok((pointer(name)?, expression))
        };
        Ok(Self {
            fields: fields.fields.iter().map(compile).collect::<Result<_, String>>()?,
            remove: fields.remove.iter().map(|name| pointer(name)).collect::<Result<_, String>>()?,
        })
    }
}

impl Rewrite for Setting {
    fn rewrite(&self, mut document: Json) -> Result<Json, String> {
        let values = self.fields.iter().map(|(pointer, expression)| {
            let value = expression.value(&document).map_err(|error| format!("field {pointer:?}: {error}"))?;
            Ok((pointer, value))
        });
        let values: Vec<_> = values.collect::<Result<_, String>>()?;
        for pointer in &self.remove {
            remove(&mut document, pointer);
        }
        for (pointer, value) in values {
            set(&mut document, pointer, value)?;
        }
        check_size(&document)?;
        Ok(document)
    }
}

/// A name as a JSON pointer.
fn pointer(name: &str) -> Result<String, String> {
    match name {
        "" | "/" => Err("a field needs a name; use `expression` for the whole document".into()),
        name if name.starts_with('/') => Ok(name.to_owned()),
        name => Ok(format!("/{}", name.replace('~', "~0").replace('/', "~1"))),
    }
}

fn split(pointer: &str) -> (&str, String) {
    let (parent, name) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    (parent, name.replace("~1", "/").replace("~0", "~"))
}

fn remove(document: &mut Json, pointer: &str) {
    let (parent, name) = split(pointer);
    match document.pointer_mut(parent) {
        Some(Json::Object(fields)) => drop(fields.remove(&name)),
        Some(Json::Array(items)) => {
            if let Ok(index) = name.parse::<usize>()
                && index < items.len()
            {
                items.remove(index);
            }
        }
        _ => {}
    }
}

fn set(document: &mut Json, pointer: &str, value: Json) -> Result<(), String> {
    let (parent, name) = split(pointer);
    match document.pointer_mut(parent) {
        Some(Json::Object(fields)) => {
            fields.insert(name, value);
            Ok(())
        }
        Some(Json::Array(items)) => match name.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
            Some(item) => {
                *item = value;
                Ok(())
            }
            None => Err(format!("{pointer:?}: the array has no such item")),
        },
        Some(_) => Err(format!("{pointer:?}: {parent:?} is neither an object nor an array")),
        None => Err(format!("{pointer:?}: there is no {parent:?} in the document")),
    }
}

#[cfg(test)]
mod tests;
