//! The table in the documentation of the crate says which test proves each defence. They are there.

use std::path::Path;

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
    sources(&crate_root.join("src"), &mut code);
    sources(&crate_root.join("tests"), &mut code);
    let documentation = std::fs::read_to_string(crate_root.join("src/lib.rs")).unwrap();
    let rows = documentation.lines().filter(|line| line.starts_with("//! |"));
    let named = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let tests: Vec<_> = named.filter_map(|name| name.strip_suffix("...")).collect();
    assert!(tests.len() > 30, "{tests:?}");
    for test in tests {
        assert!(code.contains(&format!("fn {test}")), "no test begins with {test}");
    }
}
