//! The known word nearest to a misspelt one, for "did you mean" in error messages.
//!
//! Which words are known, and how the suggestion is worded, is the caller's business.

use std::mem;

/// Longer texts get no suggestion: nobody misspells a word of this length, and it bounds the cost.
const WORD_CHARS_MAX: usize = 64;

/// The candidate with the fewest typing slips from `text`, if it is near enough to suggest.
///
/// A slip is a character inserted, left out or replaced, or two neighbours swapped; upper and lower
/// case are the same. One slip in three characters is allowed, so words of one or two characters
/// get no suggestion. Of equally near candidates the first one wins. Costs the length of `text`
/// times the length of all candidates.
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = lower_case(text);
    if word.len() > WORD_CHARS_MAX {
        return None;
    }
    let slips_max = word.len() / 3;
    candidates
        .into_iter()
        .map(|candidate| (slips(&word, &lower_case(candidate)), candidate))
        .filter(|(slips, _)| *slips <= slips_max)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

fn lower_case(text: &str) -> Vec<char> {
    // One character more than the limit is enough to see that the limit is passed.
    text.chars().take(WORD_CHARS_MAX + 1).flat_map(char::to_lowercase).collect()
}

/// The optimal string alignment distance between two words.
fn slips(left: &[char], right: &[char]) -> usize {
    // Row i, column j holds the slips between the first i characters of `left` and the first j of
    // `right`; three rows are alive at a time.
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut left_previous = None;
    for (index, &l) in left.iter().enumerate() {
        let mut row = vec![index + 1];
        let mut right_previous = None;
        for (j, &r) in right.iter().enumerate() {
            let mut best =
                (at(&last, j) + usize::from(l != r)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            if left_previous == Some(r) && right_previous == Some(l) {
                // Both words have a previous character, so j is at least 1.
                best = best.min(at(&before_last, j.saturating_sub(1)) + 1);
            }
            row.push(best);
            right_previous = Some(r);
        }
        before_last = mem::replace(&mut last, row);
        left_previous = Some(l);
    }
    at(&last, right.len())
}

/// A column of a row. Columns outside do not occur, and would only make the words look different.
fn at(row: &[usize], column: usize) -> usize {
    row.get(column).copied().unwrap_or(WORD_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WORDS: [&str; 6] = ["now", "today", "tomorrow", "yesterday", "monday", "Europe/Berlin"];

    #[test]
    fn one_slip_in_three_characters_is_forgiven() {
        let check = |text, expected| assert_eq!(nearest(text, WORDS), expected, "{text}");
        check("yesterday", Some("yesterday"));
        check("yestreday", Some("yesterday"));
        check("YESTERDY", Some("yesterday"));
        check("mondey", Some("monday"));
        check("tommorow", Some("tomorrow"));
        check("europe/berln", Some("Europe/Berlin"));
        check("nwo", Some("now"));
        check("no", None);
        check("", None);
        check("noon", None);
        check("midnight", None);
        check(&"monday".repeat(11), None);
    }

    #[test]
    fn slips_are_counted() {
        let check = |left: &str, right: &str, expected| {
            assert_eq!(slips(&lower_case(left), &lower_case(right)), expected, "{left} {right}");
        };
        check("", "", 0);
        check("", "abc", 3);
        check("abc", "", 3);
        check("abc", "acb", 1);
        check("abc", "bca", 2);
        check("kitten", "sitting", 3);
    }

    proptest! {
        #[test]
        fn slips_are_the_same_in_both_directions(left in "[ab-d]{0,8}", right in "[ab-d]{0,8}") {
            let (left, right) = (lower_case(&left), lower_case(&right));
            prop_assert_eq!(slips(&left, &right), slips(&right, &left));
        }
    }
}
