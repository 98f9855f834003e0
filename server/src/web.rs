//! The page for people, and the data that it shows. Reads only.
//!
//! The page itself tells nothing of the memory, so it is given to whoever may reach the server; the data stands behind the token
//! like everything else.

mod answer;

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use llmdb::{
    Db,
    memory::{
        facts::{FactKey, HistoryQuery, Point, Recall, What},
        graph::KnowledgeGraph,
        when,
    },
    temporal::{AsOf, At, Timestamp},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::memory::Memory;
use answer::{Answer, Failure, answer};

/// What the page is made of: path, kind, text.
const FILES: [(&str, &str, &str); 3] = [
    ("/", "text/html; charset=utf-8", include_str!("web/index.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("web/page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("web/page.js")),
];
/// What a browser may do with the page: nothing but what it brings itself. What is stored may be hostile.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Facts of an answer, if nothing is said, and at most.
const FACTS_DEFAULT: usize = 40;
const FACTS_MAX: usize = 200;
/// Versions of a fact that are told.
const VERSIONS_MAX: usize = 500;
/// Entities that can be drawn.
const ENTITIES_MAX: usize = 120;

/// Whether a path is a file of the page.
pub(crate) fn is_page(path: &str) -> bool {
    FILES.iter().any(|file| file.0 == path)
}

/// The page, and the routes of its data.
pub(crate) fn routes(memory: Memory) -> Router {
    let mut router = Router::new()
        .route("/api/state", get(state))
        .route("/api/facts", get(facts))
        .route("/api/history", get(history))
        .route("/api/graph", get(graph))
        .with_state(memory);
    for (path, kind, text) in FILES {
        router = router.route(path, get(move || async move { file(kind, text) }));
    }
    router
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, HeaderValue); 6] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, text).into_response()
}

/// What the page asks by. An empty text is none.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    /// Words to find.
    query: String,
    /// Subject, key, or beginning of a key.
    what: String,
    /// Key of a fact.
    key: String,
    /// When it was true.
    valid: String,
    /// When it was known.
    known: String,
    limit: Option<usize>,
    cursor: Option<String>,
}

impl Asked {
    fn point(&self, now: Timestamp) -> Result<Point, Failure> {
        let moment = |name: &str, text: &str| match text.trim() {
            "" => Ok(None),
            text => {
                when::parse(text, now).map(Some).map_err(|error| Failure::asked(format!("{name}: {error}")))
            }
        };
        let known = moment("known", &self.known)?.map_or(AsOf::Now, AsOf::Time);
        Ok(Point { valid: moment("valid", &self.valid)?, known })
    }
}

/// The last commit: the page asks again and again whether there is another.
async fn state(State(memory): State<Memory>) -> Answer {
    answer(&memory, |db: &Db| {
        let view = db.facts().view()?;
        let snapshot = view.snapshot();
        Ok(json!({ "txid": snapshot.txid().get(), "at": when::show(snapshot.timestamp()), "now": when::show(view.now()) }))
    })
    .await
}

async fn facts(State(memory): State<Memory>, Query(asked): Query<Asked>) -> Answer {
    answer(&memory, move |db: &Db| {
        let facts = db.memory().facts();
        let point = asked.point(facts.now()?)?;
        let text = asked.query.trim();
        let recall = Recall {
            what: if asked.what.is_empty() { What::All } else { What::parse(&asked.what)? },
            text: (!text.is_empty()).then(|| text.to_owned()),
            point,
            results_max: asked.limit.unwrap_or(FACTS_DEFAULT).clamp(1, FACTS_MAX),
            keep_duplicates: true,
            cursor: asked.cursor,
            ..Recall::default()
        };
        tell(&facts.recall(&recall)?)
    })
    .await
}

async fn history(State(memory): State<Memory>, Query(asked): Query<Asked>) -> Answer {
    answer(&memory, move |db: &Db| {
        let key: FactKey = asked.key.parse()?;
        let query = HistoryQuery { results_max: VERSIONS_MAX, cursor: asked.cursor };
        tell(&db.memory().facts().history(&key, &query)?)
    })
    .await
}

async fn graph(State(memory): State<Memory>, Query(asked): Query<Asked>) -> Answer {
    answer(&memory, move |db: &Db| {
        let point = asked.point(db.memory().facts().now()?)?;
        // What was known of the graph at a moment is what was true by it then.
        let at = match point.known {
            AsOf::Time(moment) => At::valid(moment).as_of(point.known),
            _ => At::NOW,
        };
        let graph = db.memory().graph();
        let found = match asked.query.trim() {
            "" => graph.read(at)?,
            query => graph.search(query, at)?,
        };
        tell(&drawable(found))
    })
    .await
}

/// A graph that is small enough to be drawn.
#[derive(Serialize)]
struct Drawable {
    #[serde(flatten)]
    graph: KnowledgeGraph,
    /// How many entities there are.
    total: usize,
    is_cut: bool,
}

/// The newest entities, and the relations between them.
fn drawable(mut graph: KnowledgeGraph) -> Drawable {
    let total = graph.entities.len();
    graph.entities.drain(..total.saturating_sub(ENTITIES_MAX));
    let names: std::collections::HashSet<&str> = graph.entities.iter().map(|entity| &*entity.name).collect();
    graph.relations.retain(|relation| names.contains(&*relation.from) && names.contains(&*relation.to));
    Drawable { graph, total, is_cut: total > ENTITIES_MAX }
}

fn tell(answer: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(answer).map_err(|error| Failure::own(error.to_string()))
}
