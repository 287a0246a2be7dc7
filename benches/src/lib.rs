//! Measurements of logq; see `RESULTS.md`. The library is empty: benches are in `benches/`, the
//! generator of their input in `src/bin/`.
