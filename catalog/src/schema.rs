//! Schemas: compiled once, compared with documents.

use std::{
    error::Error as StdError,
    panic::{self, AssertUnwindSafe},
    thread,
};

use boon::{Compiler, Draft, SchemaIndex, Schemas, UrlLoader, ValidationError};
use serde::Serialize;
use serde_json::Value as Json;

use crate::json;

/// Longest text of a schema, in bytes.
pub const SCHEMA_LEN_MAX: usize = 1 << 20;
/// Most violations that are told of one document.
const VIOLATIONS_MAX: usize = 10;
/// Longest text of one of them, in characters.
const EXPECTED_LEN_MAX: usize = 200;
/// What a schema is called inside of the compiler. No loader knows the scheme.
const LOCATION: &str = "llmdb:///schema";

/// A place where a document is not what its schema says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Violation {
    /// Where in the document, as a JSON pointer; empty for the whole.
    pub path: String,
    /// What is wrong there.
    pub expected: String,
    /// Which part of the schema says so, as a JSON pointer.
    pub schema_path: String,
}

/// A schema that documents can be compared with.
pub(crate) struct Validator {
    schemas: Schemas,
    root: SchemaIndex,
    /// How many schemas may call each other at one place of a document, at most.
    chain_max: usize,
}

impl Validator {
    /// Reads, checks and compiles a schema.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn compile(text: &[u8]) -> Result<Self, String> {
        if text.len() > SCHEMA_LEN_MAX {
            return Err(format!("it has {} bytes; a schema has at most {SCHEMA_LEN_MAX}", text.len()));
        }
        Self::of(json::read(text)?)
    }

    pub(crate) fn of(schema: Json) -> Result<Self, String> {
        if !schema.is_object() && !schema.is_boolean() {
            return Err("a schema is an object, or true or false".into());
        }
        let chain_max = 1 + calls(&schema);
        // The compiler asserts, in builds that do, that it has no bugs; a schema should not end the program by finding one.
        let compiled = panic::catch_unwind(AssertUnwindSafe(|| -> Result<_, String> {
            let mut compiler = Compiler::new();
            compiler.set_default_draft(Draft::V2020_12);
            compiler.enable_format_assertions();
            compiler.use_loader(Box::new(NoLoader));
            let mut schemas = Schemas::new();
            compiler.add_resource(LOCATION, schema).map_err(|error| describe(&error))?;
            let root = compiler.compile(LOCATION, &mut schemas).map_err(|error| describe(&error))?;
            Ok((schemas, root))
        }));
        let (schemas, root) = compiled.unwrap_or_else(|_| Err("it cannot be compiled".to_owned()))?;
        Ok(Self { schemas, root, chain_max })
    }

    /// Where a document is not what the schema says; nothing if it fits.
    pub(crate) fn violations(&self, document: &Json) -> Vec<Violation> {
        let frames = self.chain_max.saturating_mul(json::depth(document) + 1);
        if frames <= FRAMES_INLINE {
            return self.compare(document);
        }
        let stack_bytes = frames.saturating_mul(FRAME_BYTES);
        if stack_bytes > STACK_BYTES_MAX {
            return whole("the document is nested too deep for a schema with so many references");
        }
        // Schemas that call themselves at each place of a deep document would overflow the stack of the caller.
        thread::scope(|scope| {
            let worker = thread::Builder::new().stack_size(stack_bytes);
            match worker.spawn_scoped(scope, || self.compare(document)).map(thread::ScopedJoinHandle::join) {
                Ok(Ok(violations)) => violations,
                _ => whole("the document could not be compared: there is no memory for a stack"),
            }
        })
    }

    fn compare(&self, document: &Json) -> Vec<Violation> {
        let compared = panic::catch_unwind(AssertUnwindSafe(|| {
            let mut violations = Vec::new();
            if let Err(error) = self.schemas.validate(document, self.root) {
                collect(&error, &mut violations);
            }
            violations
        }));
        compared.unwrap_or_else(|_| whole("the document cannot be compared with the schema"))
    }
}

/// What is wrong with a document as a whole.
pub(crate) fn whole(expected: impl Into<String>) -> Vec<Violation> {
    vec![Violation { path: String::new(), expected: expected.into(), schema_path: String::new() }]
}

/// Calls that are surely fine on any stack.
const FRAMES_INLINE: usize = 200;
/// What one call takes at most; measured with a margin, see `deep_documents_and_long_chains_of_references`.
const FRAME_BYTES: usize = 4 << 10;
const STACK_BYTES_MAX: usize = 256 << 20;

/// The keywords of a schema by which it calls another one for the same place of the document.
fn calls(schema: &Json) -> usize {
    match schema {
        Json::Array(items) => items.iter().map(calls).sum(),
        Json::Object(fields) => fields
            .iter()
            .map(|(name, value)| {
                let own = match (name.as_str(), value) {
                    ("allOf" | "anyOf" | "oneOf", Json::Array(items)) => items.len(),
                    ("dependentSchemas" | "dependencies", Json::Object(fields)) => fields.len(),
                    ("$ref" | "$dynamicRef" | "$recursiveRef" | "not" | "if" | "then" | "else", _) => 1,
                    _ => 0,
                };
                own + calls(value)
            })
            .sum(),
        _ => 0,
    }
}

/// The innermost reasons: what stands above them only says that they are there.
fn collect(error: &ValidationError<'_, '_>, into: &mut Vec<Violation>) {
    use boon::ErrorKind;
    let is_wrapper = matches!(
        error.kind,
        ErrorKind::Group | ErrorKind::Schema { .. } | ErrorKind::Reference { .. } | ErrorKind::AllOf
    );
    if into.len() >= VIOLATIONS_MAX {
        return;
    }
    if is_wrapper && !error.causes.is_empty() {
        for cause in &error.causes {
            collect(cause, into);
        }
        return;
    }
    let mut expected = json::cut(&error.kind.to_string(), EXPECTED_LEN_MAX);
    if matches!(error.kind, ErrorKind::AnyOf | ErrorKind::OneOf(None)) && !error.causes.is_empty() {
        let mut inner = Vec::new();
        for cause in &error.causes {
            collect(cause, &mut inner);
        }
        let inner: Vec<_> = inner.iter().map(|inner| inner.expected.as_str()).collect();
        expected = json::cut(
            &format!("it is none of the alternatives: {}", inner.join("; or ")),
            2 * EXPECTED_LEN_MAX,
        );
    }
    let schema_path = error.schema_url.split_once('#').map_or("", |(_, path)| path).to_owned();
    into.push(Violation {
        path: json::cut(&error.instance_location.to_string(), EXPECTED_LEN_MAX),
        expected,
        schema_path,
    });
}

/// What to say of a document that does not fit.
pub(crate) fn say(violations: &[Violation]) -> String {
    let one = |violation: &Violation| match violation.path.as_str() {
        "" => violation.expected.clone(),
        path => format!("{path}: {}", violation.expected),
    };
    violations.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn describe(error: &boon::CompileError) -> String {
    use boon::CompileError;
    match error {
        CompileError::ValidationError { src, .. } => {
            let mut violations = Vec::new();
            collect(src, &mut violations);
            say(&violations)
        }
        CompileError::LoadUrlError { url, .. } | CompileError::UnsupportedUrlScheme { url } => {
            format!("it refers to {url}, which is not in it; write what you need of it under $defs")
        }
        error => json::cut(&error.to_string().replace(LOCATION, ""), 2 * EXPECTED_LEN_MAX),
    }
}

/// Schemas are whole: nothing is fetched from the network or from files.
struct NoLoader;

impl UrlLoader for NoLoader {
    fn load(&self, url: &str) -> Result<Json, Box<dyn StdError>> {
        Err(format!("{url} is not part of the schema").into())
    }
}

#[cfg(test)]
mod tests;
