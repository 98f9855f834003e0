//! Whether the arguments of a call are what the schema of its tool says, told so that a model can mend them.
//!
//! Knows the part of JSON Schema that the tools use: `type`, `properties`, `required`, `additionalProperties: false`,
//! `items`, `enum`, `minimum`, `maximum`, `minLength`.

use serde_json::{Map, Value};

/// Problems told at most.
const PROBLEMS_MAX: usize = 10;

/// What is wrong with `arguments`; empty if nothing is.
pub(crate) fn problems(schema: &Value, arguments: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    check(schema, Some(arguments), &mut Path::default(), &mut problems);
    problems
}

/// Where in the arguments.
#[derive(Default)]
struct Path(String);

impl Path {
    fn inside(&mut self, step: &str, work: impl FnOnce(&mut Self)) {
        let len = self.0.len();
        self.0.push_str(step);
        work(self);
        self.0.truncate(len);
    }

    fn show(&self) -> &str {
        self.0.strip_prefix('.').unwrap_or(&self.0)
    }
}

fn check(schema: &Value, value: Option<&Value>, path: &mut Path, problems: &mut Vec<String>) {
    if problems.len() >= PROBLEMS_MAX {
        return;
    }
    let expected = schema["type"].as_str().unwrap_or("any");
    let Some(value) = value.filter(|value| is_a(expected, value)) else {
        let received = value.map_or("undefined", kind);
        let place = if path.0.is_empty() { String::new() } else { format!(" at {}", path.show()) };
        problems.push(format!("Invalid input: expected {expected}, received {received}{place}"));
        return;
    };
    check_range(schema, value, path, problems);
    match value {
        Value::Object(object) => check_object(schema, object, path, problems),
        Value::Array(items) if schema.get("items").is_some() => {
            for (index, item) in items.iter().enumerate() {
                path.inside(&format!("[{index}]"), |path| {
                    check(&schema["items"], Some(item), path, problems)
                });
            }
        }
        _ => {}
    }
}

fn check_object(schema: &Value, object: &Map<String, Value>, path: &mut Path, problems: &mut Vec<String>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    for (name, inner) in in_order(properties, required) {
        let value = object.get(name);
        if value.is_some() || required.iter().any(|required| required == name) {
            path.inside(&format!(".{name}"), |path| check(inner, value, path, problems));
        }
    }
    if schema["additionalProperties"] == Value::Bool(false) {
        let known: Vec<_> = properties.keys().map(String::as_str).collect();
        for name in object.keys().filter(|name| !properties.contains_key(*name)) {
            let known = known.join(", ");
            path.inside(&format!(".{name}"), |path| {
                problems.push(format!("Unknown argument {}: there are {known}", path.show()));
            });
        }
    }
}

/// Properties, the required ones first and in the order of that list: objects of JSON have none.
fn in_order<'s>(
    properties: &'s Map<String, Value>,
    required: &'s [Value],
) -> impl Iterator<Item = (&'s str, &'s Value)> {
    let first = required.iter().filter_map(|name| properties.get_key_value(name.as_str()?));
    let rest = properties.iter().filter(|(name, _)| !required.iter().any(|required| required == *name));
    first.chain(rest).map(|(name, schema)| (name.as_str(), schema))
}

fn check_range(schema: &Value, value: &Value, path: &Path, problems: &mut Vec<String>) {
    let place = path.show();
    if let Some(values) = schema["enum"].as_array().filter(|values| !values.contains(value)) {
        let values: Vec<_> = values.iter().map(Value::to_string).collect();
        problems.push(format!("Invalid input: {place} is one of {}, not {value}", values.join(", ")));
    }
    if let Some(number) = value.as_f64() {
        let (min, max) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
        if min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) {
            let range = match (min, max) {
                (Some(min), Some(max)) => format!("between {min} and {max}"),
                (Some(min), None) => format!("at least {min}"),
                (_, max) => format!("at most {}", max.unwrap_or_default()),
            };
            problems.push(format!("Invalid input: {place} is {range}, not {value}"));
        }
    }
    if value.as_str().is_some_and(str::is_empty) && schema["minLength"].as_u64() == Some(1) {
        problems.push(format!("Invalid input: {place} is empty"));
    }
}

fn is_a(expected: &str, value: &Value) -> bool {
    match expected {
        "any" => true,
        "integer" => value.is_i64() || value.is_u64(),
        expected => kind(value) == expected,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::problems;

    #[test]
    fn problems_name_the_place() {
        let person = json!({
            "type": "object",
            "properties": {
                "name": { "type": "string", "minLength": 1 },
                "age": { "type": "integer", "minimum": 0, "maximum": 150 },
                "mood": { "type": "string", "enum": ["good", "bad"] },
            },
            "required": ["name"],
            "additionalProperties": false,
        });
        let people = json!({ "type": "array", "items": person });
        let schema = json!({ "type": "object", "properties": { "people": people }, "required": ["people"] });
        let of = |arguments| problems(&schema, &arguments);
        assert!(
            of(json!({ "people": [{ "name": "Ada", "age": 36, "mood": "good" }], "more": 1 })).is_empty()
        );
        assert_eq!(of(json!({})), ["Invalid input: expected array, received undefined at people"]);
        assert_eq!(of(json!([])), ["Invalid input: expected object, received array"]);
        assert_eq!(
            of(json!({ "people": [{ "age": 1.5, "mood": "so" }, null, { "name": "", "age": 200, "x": 1 }] })),
            [
                "Invalid input: expected string, received undefined at people[0].name",
                "Invalid input: expected integer, received number at people[0].age",
                "Invalid input: people[0].mood is one of \"good\", \"bad\", not \"so\"",
                "Invalid input: expected object, received null at people[1]",
                "Invalid input: people[2].name is empty",
                "Invalid input: people[2].age is between 0 and 150, not 200",
                "Unknown argument people[2].x: there are age, mood, name",
            ]
        );
    }
}
