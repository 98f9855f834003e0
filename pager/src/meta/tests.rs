use proptest::prelude::*;

use super::*;

fn meta(generation: u64) -> Meta {
    let state = RootState {
        txid: TxnId::new(9021),
        timestamp: Timestamp::new(1_700_000_000_000_000),
        lsn: Lsn::new(0x3F_00A8),
        roots: std::array::from_fn(|index| u8::try_from(index).unwrap()),
    };
    Meta {
        store: StoreId::new(0x0F0E_0D0C_0B0A_0908_0706_0504_0302_0100),
        generation,
        root: RootRecord::new(Epoch::new(0x0010_0007), 4711, state),
        map_root: ChildRef::new(Pgno::new(34), Epoch::new(0x0010_0007)),
        map_levels: 1,
        log_mark: 0,
        given_up: GivenUp::default(),
    }
}

#[test]
#[rustfmt::skip]
fn a_meta_page_matches_annotated_bytes() {
    let mut expected = [0; META_LEN];
    let fields: [(usize, &[u8]); 13] = [
        (0, b"LLMDB\r\n\x1A"),
        (8, &[1, 0, 0, 0]),                                             // version
        (12, &[0, 0x10, 0, 0]),                                         // bytes in a page
        (16, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),  // store
        (32, &[6]),                                                     // generation
        (40, &[7, 0, 0x10]),                                            // epoch
        (48, &[0x3D, 0x23]),                                            // transaction
        (56, &[0, 0x40, 0x1E, 0x18, 0x24, 0x0A, 0x06]),                 // timestamp
        (64, &[0xA8, 0, 0x3F]),                                         // LSN
        (72, &[0x67, 0x12]),                                            // pages
        (80, &[34, 0, 0, 0, 0, 7, 0, 0x10]),                            // map root: page and tag
        (88, &[1]),                                                     // levels of the map
        (508, &[0xAD, 0x18, 0xB1, 0xD5]),                               // checksum
    ];
    for (offset, bytes) in fields {
        expected[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
    expected[96..160].copy_from_slice(&meta(6).root.roots);
    let encoded = meta(6).encode(Pgno::new(0));
    assert_eq!(encoded, expected);
    assert_eq!(Meta::decode(&encoded, Pgno::new(0)), Ok(meta(6)));
}

#[test]
fn a_meta_page_counts_only_where_it_belongs() {
    let encoded = meta(6).encode(Pgno::new(0));
    assert!(Meta::decode(&encoded, Pgno::new(16)).is_err(), "the checksum knows the page");
    let astray = meta(6).encode(Pgno::new(1));
    assert!(Meta::decode(&astray, Pgno::new(1)).is_err(), "an even generation in an odd place");
}

fn reseal(mut bytes: [u8; META_LEN], change: impl Fn(&mut [u8; META_LEN])) -> Result<Meta, SlotState> {
    change(&mut bytes);
    let seed = page_seed(StoreId::new(get_u128(&bytes, STORE)), Pgno::new(0));
    let checksum = crc32c(seed, &bytes[..CHECKSUM]);
    put_u32(&mut bytes, CHECKSUM, checksum);
    Meta::decode(&bytes, Pgno::new(0))
}

#[test]
fn impossible_fields_are_damage_even_with_a_right_checksum() {
    let bytes = meta(6).encode(Pgno::new(0));
    assert_eq!(reseal(bytes, |_| ()), Ok(meta(6)));
    assert_eq!(reseal(bytes, |bytes| bytes[0] = 0), Err(SlotState::Foreign));
    assert_eq!(reseal(bytes, |bytes| put_u32(bytes, VERSION, 2)), Err(SlotState::Newer { version: 2 }));
    type Change = fn(&mut [u8; META_LEN]);
    let changes: [Change; 8] = [
        |bytes| put_u32(bytes, VERSION, 0),
        |bytes| put_u32(bytes, PAGE_LEN, 8192),
        |bytes| put_u64(bytes, PAGE_COUNT, 17),
        |bytes| put_u64(bytes, PAGE_COUNT, 1 << 41),
        |bytes| put_u64(bytes, EPOCH, u64::MAX),
        |bytes| bytes[MAP_LEVELS] = INDEX_LEVELS_MAX + 1,
        |bytes| put_u64(bytes, GIVEN_UP_AFTER, 1),
        |bytes| bytes[RESERVED] = 1,
    ];
    for change in changes {
        assert!(matches!(reseal(bytes, change), Err(SlotState::Damaged { .. })));
    }
}

#[test]
fn the_newest_intact_generation_is_chosen_and_the_one_before() {
    let damage = || Err(damaged("torn"));
    let select = |slots: [Result<Meta, SlotState>; 4]| {
        let (generations, report) = select(slots);
        let generations =
            generations.map(|known| (known.newest.generation, known.older.map(|meta| meta.generation)));
        (generations, report.damaged().count())
    };
    assert_eq!(select([Ok(meta(6)), Ok(meta(7)), Ok(meta(6)), Ok(meta(7))]), (Some((7, Some(6))), 0));
    assert_eq!(select([Ok(meta(8)), Ok(meta(7)), Ok(meta(6)), Ok(meta(7))]), (Some((8, Some(7))), 1));
    assert_eq!(select([damage(), Ok(meta(7)), Ok(meta(6)), damage()]), (Some((7, Some(6))), 2));
    assert_eq!(select([damage(), Ok(meta(7)), damage(), Ok(meta(7))]), (Some((7, None)), 2));
    assert_eq!(select([damage(), damage(), damage(), damage()]), (None, 4));
    let foreign = Meta { store: StoreId::new(1), ..meta(6) };
    assert_eq!(select([Ok(foreign), Ok(meta(7)), Ok(foreign), Ok(meta(7))]), (Some((7, None)), 2));
}

#[test]
fn what_was_given_up_is_known_until_a_full_backup_lies_behind_it() {
    let e = Epoch::new;
    let once = GivenUp::default().and(e(10), e(30));
    assert_eq!([10, 11, 30, 31].map(|epoch| once.contains(e(epoch))), [false, true, true, false]);
    let twice = once.and(e(40), e(60));
    assert_eq!([10, 11, 60, 61].map(|epoch| twice.contains(e(epoch))), [false, true, true, false]);
    assert!(!GivenUp::default().contains(e(0)) && !GivenUp::default().contains(e(1)));

    let slots = [Ok(meta(6)), Err(damaged("torn")), Ok(meta(6)), Err(damaged("torn"))];
    let (Some(mut known), report) = select(slots) else { unreachable!("generation 6 is whole") };
    known.note_lost(&report, e(0x0020_0000));
    assert!(
        known.newest.given_up.contains(e(0x0010_0008)) && !known.newest.given_up.contains(e(0x0010_0007))
    );
    let marked = known.newest.encode(Pgno::new(0));
    assert_eq!(Meta::decode(&marked, Pgno::new(0)), Ok(known.newest));
    let one_torn = [Ok(meta(6)), Ok(meta(7)), Ok(meta(6)), Err(damaged("torn"))];
    let (Some(mut known), report) = select(one_torn) else { unreachable!("both are there") };
    known.note_lost(&report, e(0x0020_0000));
    assert_eq!(known.newest.given_up, GivenUp::default(), "a crash does that");
}

#[test]
fn the_next_generation_spares_the_one_that_is_kept() {
    assert_eq!(generation_after(6, 6), 7);
    assert_eq!(generation_after(7, 6), 9);
    assert_eq!(slots_of(9), slots_of(7));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), META_LEN), magic: bool, sealed: bool, slot in 0..4usize) {
        let mut bytes: [u8; META_LEN] = bytes.try_into().unwrap();
        let pgno = FIXED_PAGES[slot];
        if magic {
            bytes[MAGIC..VERSION].copy_from_slice(&MAGIC_BYTES);
            put_u32(&mut bytes, VERSION, FORMAT_VERSION);
        }
        if sealed {
            let checksum = crc32c(page_seed(StoreId::new(get_u128(&bytes, STORE)), pgno), &bytes[..CHECKSUM]);
            put_u32(&mut bytes, CHECKSUM, checksum);
        }
        if let Ok(meta) = Meta::decode(&bytes, pgno) {
            prop_assert_eq!(meta.encode(pgno), bytes);
        }
    }
}
