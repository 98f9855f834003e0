//! Searches at points of both times beside the naive model, after random work: the same rows, the same scores.

use llmdb_engine::Engine;
use llmdb_temporal::{At, RowKey, Rows, Store};
use proptest::{collection::vec, prelude::*};

use crate::naive::{Model, at, check_search, create, make, query, step};

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_what_reading_everything_finds(
        steps in (prop_oneof![Just((4i64, 4usize)), Just((200, 60))]).prop_flat_map(|(rows, writes)| vec(step(rows, writes), 1..25)),
        queries in vec((query(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0i64..200), 12),
    ) {
        let engine = Engine::in_memory().unwrap();
        let store = Store::new(&engine);
        create(store);
        let mut model = Model::default();
        for step in &steps {
            make(store, &mut model, step);
        }
        let view = store.view().unwrap();
        model.check_stored(&view);
        for (query, valid, system, row) in &queries {
            let (valid, system) = (*valid.get(&model.edges), *system.get(&model.edges));
            for point in [At::NOW, at(valid, system), at(system, system), At::valid(valid)] {
                check_search(&view, &model, query, &Rows::all(), point);
            }
            let some = RowKey::from(*row)..RowKey::from(*row + 40);
            check_search(&view, &model, query, &Rows::between(&some.start..&some.end), At::NOW);
        }
    }
}
