//! The table in the documentation of the crate says which test proves each defence. They are there, and
//! every case of the list of attacks has one.

use std::collections::BTreeSet;
use std::path::Path;

/// How many cases each part of the list has: connections, tokens, browsers, data.
const CASES: [usize; 4] = [14, 7, 5, 5];

fn sources(directory: &Path, found: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            *found += &std::fs::read_to_string(path).unwrap();
        }
    }
}

#[test]
fn tests_that_the_documentation_names_are_there() {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    for directory in ["src", "tests", "../cli/tests"] {
        sources(&crate_root.join(directory), &mut code);
    }
    let documentation = std::fs::read_to_string(crate_root.join("src/lib.rs")).unwrap();
    let code = code.replace(&documentation, "");
    let rows = documentation.lines().filter(|line| line.starts_with("//! | "));
    let (mut cases, mut count) = (BTreeSet::new(), 0);
    for row in rows {
        let names = row.split('`').skip(1).step_by(2).filter_map(|name| name.strip_suffix("..."));
        let names: Vec<_> = names.collect();
        for name in &names {
            assert!(code.contains(&format!("fn {name}")), "no test begins with {name}");
        }
        count += names.len();
        let case = row.split('|').nth(1).unwrap().trim();
        if case.starts_with("E.") {
            assert!(!names.is_empty(), "{row}");
            // A test bears the number, and not one that only begins with it.
            let mut found = code.split(case).skip(1);
            let is_borne = found.any(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
            assert!(is_borne, "no test bears the number {case}");
            cases.insert(case.to_owned());
        }
    }
    assert!(count > 50, "{count}");
    let expected = CASES
        .iter()
        .zip(1..)
        .flat_map(|(count, part)| (1..=*count).map(move |number| format!("E.{part}.{number}")));
    assert_eq!(cases, expected.collect());
}
