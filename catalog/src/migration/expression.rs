//! Expressions over documents: `doc.first ~ " " ~ doc.last`, `doc.age is defined and doc.age >= 18`.
//!
//! They are those of the template language Jinja, without its templates: no statements, no files, no clock, no chance. What
//! one may cost is bounded by fuel, and by the size of what it makes.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior, Value, context, value::ValueKind};
use serde_json::{Map, Number, Value as Json};

use crate::{json, migration::rewrite::Rewrite};

/// Longest expression, in bytes.
const SOURCE_LEN_MAX: usize = 16 << 10;
/// Steps that one evaluation may take.
const FUEL: u64 = 100_000;
/// What a document is called in expressions; see `evaluate`.
const NAME: &str = "doc";

/// A checked expression. Compiled again for each document: that costs less than keeping what borrows from itself.
#[derive(Debug)]
pub(crate) struct Expression {
    source: String,
    environment: Environment<'static>,
}

impl Expression {
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn compile(source: &str) -> Result<Self, String> {
        if source.len() > SOURCE_LEN_MAX {
            return Err(format!(
                "the expression has {} bytes; at most {SOURCE_LEN_MAX} are allowed",
                source.len()
            ));
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_fuel(Some(FUEL));
        let unknown = match environment.compile_expression(source) {
            Err(error) => return Err(format!("the expression {:?}: {error}", json::cut(source, 60))),
            Ok(expression) => expression.undeclared_variables(false),
        };
        let globals: Vec<_> = environment.globals().map(|(name, _)| name.to_owned()).collect();
        match unknown.iter().find(|name| *name != NAME && !globals.contains(name)) {
            Some(name) => Err(format!(
                "the expression {:?}: it knows no {name:?}; the document is {NAME:?}",
                json::cut(source, 60)
            )),
            None => Ok(Self { source: source.to_owned(), environment }),
        }
    }

    /// Its value for a document.
    pub(crate) fn value(&self, document: &Json) -> Result<Json, String> {
        from_value(&self.evaluate(document)?, 0, &mut BUDGET.clone())
    }

    /// Whether its value counts as true: anything but false, null, what is not there, 0, and what is empty.
    pub(crate) fn is_true(&self, document: &Json) -> Result<bool, String> {
        Ok(self.evaluate(document)?.is_true())
    }

    fn evaluate(&self, document: &Json) -> Result<Value, String> {
        let describe = |error: minijinja::Error| {
            let what = match error.detail() {
                Some(detail) => detail.to_owned(),
                None => error.kind().to_string(),
            };
            format!("the expression {:?}: {what}", json::cut(&self.source, 60))
        };
        let expression = self.environment.compile_expression(&self.source).map_err(describe)?;
        expression.eval(context! { doc => to_value(document) }).map_err(describe)
    }
}

impl Rewrite for Expression {
    fn rewrite(&self, document: Json) -> Result<Json, String> {
        self.value(&document)
    }
}

fn to_value(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::from(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => items.iter().map(to_value).collect(),
        Json::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), to_value(value)));
            Value::from_object(fields.collect::<BTreeMap<String, Value>>())
        }
    }
}

/// Bytes that the value of an expression may take.
const BUDGET: usize = json::DOCUMENT_LEN_MAX;

/// Values may be lazy, and longer than any memory.
fn from_value(value: &Value, depth: usize, budget: &mut usize) -> Result<Json, String> {
    let len = value.as_str().map_or(4, |text| text.len() + 2);
    *budget = budget.checked_sub(len).ok_or("the value of the expression is too large")?;
    if depth > json::DEPTH_MAX {
        return Err("the value of the expression is nested too deep".into());
    }
    match value.kind() {
        ValueKind::None => Ok(Json::Null),
        ValueKind::Bool => Ok(Json::Bool(value.is_true())),
        ValueKind::Number => number(value),
        ValueKind::String => Ok(Json::String(value.as_str().unwrap_or_default().to_owned())),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter().map_err(|error| error.to_string())?;
            items.map(|item| from_value(&item, depth + 1, budget)).collect()
        }
        ValueKind::Map => {
            let mut fields = Map::new();
            for name in value.try_iter().map_err(|error| error.to_string())? {
                let field = value.get_item(&name).map_err(|error| error.to_string())?;
                let name = name.as_str().ok_or("the names in an object are texts")?.to_owned();
                *budget = budget.checked_sub(name.len()).ok_or("the value of the expression is too large")?;
                fields.insert(name, from_value(&field, depth + 1, budget)?);
            }
            Ok(Json::Object(fields))
        }
        ValueKind::Undefined => {
            Err("the value of the expression is not there: a field is missing in the document".into())
        }
        kind => Err(format!("the value of the expression is no JSON: {kind}")),
    }
}

fn number(value: &Value) -> Result<Json, String> {
    if value.is_integer() {
        let small = i64::try_from(value.clone()).map(Number::from);
        let number = small.or_else(|_| u64::try_from(value.clone()).map(Number::from));
        return number.map(Json::Number).map_err(|_| "an integer does not fit in 64 bits".into());
    }
    let number = f64::try_from(value.clone()).ok().and_then(Number::from_f64);
    number.map(Json::Number).ok_or_else(|| "a number is not finite".into())
}
