//! Which records of a slice can be printed at all: those near to a match of the same lane, or so near
//! to an end of the slice that a match beyond it may reach them.

use logq_reader::Rows;

use super::super::lane::Around;
use super::{Item, LaneKey, Rank, Search, rank};

/// A part of a slice, in order.
pub(super) enum Piece {
    Record(Item),
    /// Some consecutive records of a lane that are not printed, up to this one.
    Skipped(LaneKey, Rank),
}

/// The records of one lane in a slice.
struct Part {
    key: LaneKey,
    /// Their places in the slice.
    places: Vec<usize>,
}

/// The parts of a slice. Only what may be printed is rendered, since most records are not.
pub(super) fn pieces(search: &Search<'_>, rows: &Rows<'_>) -> Vec<Piece> {
    let matches: Vec<bool> = rows.iter().map(|row| search.is_match(&row)).collect();
    let fates = fates(search.around, &matches, &parts(search, rows));
    let mut pieces = Vec::new();
    for ((row, is_match), fate) in rows.iter().zip(matches).zip(fates) {
        match fate {
            Fate::Near => pieces.push(Piece::Record(search.item(&row, is_match))),
            Fate::LastSkipped => pieces.push(Piece::Skipped(search.key(&row), rank(&row))),
            Fate::Skipped => {}
        }
    }
    pieces
}

fn parts(search: &Search<'_>, rows: &Rows<'_>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    // There are few processes, and mostly the one before comes again.
    let mut last = 0;
    for (place, row) in rows.iter().enumerate() {
        let key = search.key(&row);
        if parts.get(last).is_none_or(|part| part.key != key) {
            last = parts.iter().position(|part| part.key == key).unwrap_or(parts.len());
        }
        match parts.get_mut(last) {
            Some(part) => part.places.push(place),
            None => parts.push(Part { key, places: vec![place] }),
        }
    }
    parts
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Near,
    Skipped,
    /// The same; the next one of the lane is near, or in another slice.
    LastSkipped,
}

fn fates(around: Around, matches: &[bool], parts: &[Part]) -> Vec<Fate> {
    let mut fates = vec![Fate::Skipped; matches.len()];
    // So many records after a match decide whether its group is done.
    let reach = around.before.saturating_add(around.after).saturating_add(1);
    for part in parts {
        let count = part.places.len();
        // From here on, records are near to the match before them, or to the beginning.
        let mut near_until = reach.min(count);
        let is_match = |place: &usize| matches.get(*place).copied().unwrap_or(false);
        let mut next_matches = (0..count).filter(|at| part.places.get(*at).is_some_and(is_match));
        let mut next_match = next_matches.next();
        let mut skipped = None;
        for (at, place) in part.places.iter().enumerate() {
            // What lies behind the slice counts as a match: it may be one.
            let next = next_match.unwrap_or(count);
            let is_near = at < near_until || next - at <= around.before || next == at;
            if next_match == Some(at) {
                near_until = at.saturating_add(reach).saturating_add(1);
                next_match = next_matches.next();
            }
            if is_near {
                set(&mut fates, Some(*place), Fate::Near);
                set(&mut fates, skipped.take(), Fate::LastSkipped);
            } else {
                skipped = Some(*place);
            }
        }
        set(&mut fates, skipped, Fate::LastSkipped);
    }
    fates
}

fn set(fates: &mut [Fate], place: Option<usize>, fate: Fate) {
    if let Some(slot) = place.and_then(|place| fates.get_mut(place)) {
        *slot = fate;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_to_matches_and_ends_is_kept() {
        let check = |before, after, slice: &str, expected: &str| {
            let matches: Vec<bool> = slice.chars().map(|c| c == 'M').collect();
            let part = Part { key: LaneKey::All, places: (0..matches.len()).collect() };
            let found: String = fates(Around { before, after }, &matches, &[part])
                .into_iter()
                .map(|fate| match fate {
                    Fate::Near => 'n',
                    Fate::LastSkipped => 'l',
                    Fate::Skipped => '.',
                })
                .collect();
            assert_eq!(found, expected, "{slice}");
        };
        check(1, 1, "..........", "nnn.....ln");
        check(1, 1, "......M........", "nnn.lnnnnn...ln");
        check(2, 0, ".......M", "nnn.lnnn");
        check(0, 0, "...M...", "n.lnn.l");
        check(9, 9, "...M...", "nnnnnnn");
    }
}
