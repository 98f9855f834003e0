//! Answers of the data routes: JSON, or an error with a status that says whose it is.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use llmdb::{Db, ErrorKind};
use serde_json::{Value, json};

use crate::memory::Memory;

/// An answer.
pub(super) type Answer = Response;

/// Why there is none.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    text: String,
}

impl Failure {
    /// What was asked makes no sense.
    pub(super) fn asked(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, text: text.into() }
    }

    /// It is our fault.
    pub(super) fn own(text: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, text: text.into() }
    }
}

impl<E: Into<llmdb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let status = match error.kind() {
            ErrorKind::Misuse | ErrorKind::TooLong => StatusCode::BAD_REQUEST,
            ErrorKind::Missing => StatusCode::NOT_FOUND,
            ErrorKind::NotKept => StatusCode::GONE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, text: error.to_string() }
    }
}

/// Runs a call of the database and tells its result.
pub(super) async fn answer(
    memory: &Memory,
    work: impl FnOnce(&Db) -> Result<Value, Failure> + Send + 'static,
) -> Answer {
    let (status, body) = match memory.call(work).await {
        Ok(Ok(value)) => (StatusCode::OK, value),
        Ok(Err(failure)) => (failure.status, json!({ "error": failure.text })),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, json!({ "error": "the server is closing" })),
    };
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, headers, Json(body)).into_response()
}
