//! What the format promises, checked from outside: records come back as they were, bytes are what
//! FORMAT.md lists, damage is found, and segments of every released version stay readable.

#[cfg(test)]
mod damage;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod listings;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod support;
