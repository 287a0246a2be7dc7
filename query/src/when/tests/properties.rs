//! What holds for every text, every instant and every zone.

use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// Pieces that the grammar knows, so that random texts come close to it.
const PIECES: [&str; 60] = [
    "2026",
    "0000",
    "9999",
    "02",
    "03",
    "31",
    "29",
    "24",
    "60",
    "99",
    "0",
    "1",
    "7",
    "-",
    "-",
    "-",
    ":",
    ":",
    ":",
    ".",
    ",",
    " ",
    " ",
    " ",
    "T",
    "t",
    "Z",
    "z",
    "+",
    "+",
    "@",
    "[",
    "]",
    "!",
    "/",
    "today",
    "monday",
    "sun",
    "tomorrow",
    "now",
    "since",
    "start",
    "crash",
    "run",
    "ago",
    "h",
    "mo",
    "y",
    "d",
    "ns",
    "µs",
    "M",
    "hours",
    "Europe/Berlin",
    "UTC",
    "+02:00",
    "789012345",
    "99999999999999999999",
    "1700000000",
    "\n",
];

fn any_text() -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(select(&PIECES[..]), 0..12);
    prop_oneof![any::<String>(), pieces.prop_map(|pieces| pieces.concat())]
}

fn any_instant() -> impl Strategy<Value = Timestamp> {
    let micros = prop_oneof![
        Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros(),
        // 1970 to 2070, where the zones are at their liveliest.
        0_i64..3_155_760_000_000_000,
        Timestamp::MIN.as_micros()..Timestamp::MIN.as_micros() + 1_000_000,
        Timestamp::MAX.as_micros() - 1_000_000..=Timestamp::MAX.as_micros(),
    ];
    micros.prop_map(Timestamp::from_micros)
}

/// No zone leads out of the years 0000 to 9999, and the calendar library can print it.
fn any_printable_instant() -> impl Strategy<Value = Timestamp> {
    let two_days = 2 * 86_400_000_000;
    any_instant().prop_map(move |instant| {
        let (min, max) = (Timestamp::MIN.as_micros(), Timestamp::MAX.as_micros());
        Timestamp::from_micros(instant.as_micros().clamp(min + two_days, max - two_days))
    })
}

fn any_zone() -> impl Strategy<Value = TimeZone> {
    any::<Index>().prop_map(|index| {
        let database = TimeZoneDatabase::bundled();
        let names: Vec<_> = database.available().collect();
        database.get(index.get(&names).as_str()).unwrap()
    })
}

/// Now, the zone, and whether there is a store and a beginning of the range.
fn any_setting() -> impl Strategy<Value = (Timestamp, TimeZone, bool)> {
    (any_instant(), any_zone(), any::<bool>())
}

fn context_of((now, zone, full): (Timestamp, TimeZone, bool)) -> Context<'static> {
    Context { now, zone, since: full.then_some(now), marks: full.then_some(&TwoRuns) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_text_has_a_meaning_or_a_message(text in any_text(), setting in any_setting()) {
        let context = context_of(setting);
        let instant = parse_instant(&text, &context);
        let interval = parse_interval(&text, &context);
        if let Ok(interval) = &interval {
            prop_assert_eq!(instant.as_ref().ok(), Some(&interval.start));
            prop_assert!(interval.start <= interval.end);
        }
        let errors = [
            instant.err(),
            interval.err(),
            parse_duration(&text).err(),
            parse_zone(&text, || TimeZone::UTC).err(),
        ];
        for error in errors.into_iter().flatten() {
            prop_assert!(error.column <= text.chars().count());
            prop_assert!(error.to_string().starts_with("cannot read the "));
        }
    }

    #[test]
    fn what_is_printed_in_any_zone_is_read_back(
        instant in any_printable_instant(),
        printed_in in any_zone(),
        setting in any_setting(),
    ) {
        let zoned = jiff::Timestamp::from_microsecond(instant.as_micros()).unwrap();
        let zoned = zoned.to_zoned(printed_in);
        for format in ["%Y-%m-%dT%H:%M:%S.%6f%:z", "%Y-%m-%d %H:%M:%S.%6f%z"] {
            let text = zoned.strftime(format).to_string();
            let read = parse_instant(&text, &context_of(setting.clone())).unwrap();
            prop_assert_eq!(read, instant, "{}", text);
        }
    }

    #[test]
    fn what_is_printed_in_utc_is_read_back(instant in any_instant(), setting in any_setting()) {
        let read = parse_instant(&instant.to_string(), &context_of(setting)).unwrap();
        prop_assert_eq!(read, instant);
    }
}
