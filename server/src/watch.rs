//! Telling clients that what they subscribed to has changed, also when another process changed it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use llmdb::{
    Db,
    memory::graph::COLLECTION,
    temporal::{AsOf, Error as TemporalError, TxnId},
};
use llmdb_base::plant::{Bug, planted};
use rmcp::{Peer, RoleServer, model::ResourceUpdatedNotificationParam, service::SubscriptionContext};
use tokio::task::JoinHandle;

use crate::memory::Memory;

/// The resource that clients of the reference subscribe to.
pub(crate) const GRAPH: &str = "memory://knowledge-graph";
/// How often a look is taken at what other processes did. Only while somebody is subscribed; a look that finds nothing
/// new costs a few microseconds.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The subscription of one client.
#[derive(Debug)]
pub(crate) struct Watch {
    memory: Memory,
    /// Held while a call of this client runs and until it is told of: what the call did is not told twice.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The last transaction of which the client knows.
    seen: Mutex<Option<TxnId>>,
    subscriber: Mutex<Option<Subscriber>>,
}

#[derive(Debug)]
struct Subscriber {
    peer: Peer<RoleServer>,
    looking: JoinHandle<()>,
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

impl Watch {
    pub(crate) fn new(memory: Memory, turn: Arc<tokio::sync::Mutex<()>>) -> Self {
        Self { memory, turn, seen: Mutex::default(), subscriber: Mutex::default() }
    }

    pub(crate) async fn subscribe(self: &Arc<Self>, uri: &str, peer: Peer<RoleServer>) {
        if uri != GRAPH {
            return;
        }
        self.look(true).await;
        let (watch, told) = (Arc::downgrade(self), peer.clone());
        let looking = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let Some(watch) = watch.upgrade() else { return };
                let _turn = watch.turn.lock().await;
                if watch.look(false).await && tell(&told).await.is_err() {
                    return;
                }
            }
        });
        *lock(&self.subscriber) = Some(Subscriber { peer, looking });
    }

    pub(crate) async fn unsubscribe(&self, uri: &str) {
        if uri == GRAPH {
            *lock(&self.subscriber) = None;
        }
    }

    /// Tells the subscriber of what this client did itself, before it gets its answer.
    pub(crate) async fn tell_now(&self) {
        let peer = lock(&self.subscriber).as_ref().map(|subscriber| subscriber.peer.clone());
        if let Some(peer) = peer {
            self.look(true).await;
            // A client that is gone need not be told.
            let _ = tell(&peer).await;
        }
    }

    /// Serves a subscription of the newer kind until it ends.
    pub(crate) async fn listen(&self, context: &SubscriptionContext) {
        let mut seen = self.newest(None).await.map(|(newest, _)| newest);
        loop {
            tokio::select! {
                () = context.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let Some((newest, is_changed)) = self.newest(seen).await else { continue };
            seen = Some(newest);
            if is_changed && context.sink().notify_resource_updated(GRAPH).await.is_err() {
                return;
            }
        }
    }

    /// Whether the graph has changed since the last look, if that is not known already.
    async fn look(&self, is_known: bool) -> bool {
        let since = if is_known { None } else { *lock(&self.seen) };
        let Some((newest, is_changed)) = self.newest(since).await else { return false };
        let mut seen = lock(&self.seen);
        *seen = seen.max(Some(newest));
        is_changed
    }

    /// The newest transaction, and whether one after `since` changed the graph. `None` if the look failed: the next one
    /// will see the same.
    async fn newest(&self, since: Option<TxnId>) -> Option<(TxnId, bool)> {
        let look = self.memory.call(move |db| changed(db, since)).await;
        look.ok().and_then(Result::ok)
    }
}

fn changed(db: &Db, since: Option<TxnId>) -> Result<(TxnId, bool), TemporalError> {
    let view = db.facts().view()?;
    let newest = view.snapshot().txid();
    let Some(since) = since.filter(|since| *since < newest) else { return Ok((newest, false)) };
    match view.collection(COLLECTION) {
        Err(TemporalError::NoCollection(_)) => Ok((newest, false)),
        graph => {
            let graph = graph?;
            let first = graph.changes(AsOf::Transaction(since), AsOf::Now)?.next().transpose()?;
            Ok((newest, first.is_some() && !planted(Bug::LoseNotification)))
        }
    }
}

async fn tell(peer: &Peer<RoleServer>) -> Result<(), rmcp::ServiceError> {
    peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(GRAPH)).await
}

/// What these locks guard is whole between any two statements, so a panic elsewhere spoils nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use llmdb::memory::{facts::NewFact, graph::Entity};

    use super::*;

    #[test]
    fn what_somebody_else_changed_is_seen_once() {
        let db = Db::in_memory().unwrap();
        let (begin, _) = changed(&db, None).unwrap();
        let ada = Entity { name: "Ada".into(), entity_type: "person".into(), observations: Vec::new() };
        db.memory().graph().create_entities(&[ada]).unwrap();
        let (newest, is_changed) = changed(&db, Some(begin)).unwrap();
        assert!(is_changed && newest > begin);
        assert_eq!(changed(&db, Some(newest)).unwrap(), (newest, false));
        db.memory().facts().remember(&[NewFact::new("ada/city", "London").unwrap()]).unwrap();
        assert!(!changed(&db, Some(newest)).unwrap().1, "facts are not the graph");
    }

    #[test]
    fn a_planted_bug_is_caught() {
        let by = what_somebody_else_changed_is_seen_once;
        assert!(llmdb_base::plant::is_caught(Bug::LoseNotification, by));
    }
}
