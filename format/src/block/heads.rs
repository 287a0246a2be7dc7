//! The heads of requests without the rest of the body: for readers of [`RequestStep`](crate::RequestStep)s
//! who also want to know what was asked for.

use std::net::IpAddr;

use super::body::Body;
use super::spine::Spine;
use crate::error::DecodeError;
use crate::record::Method;
use crate::shape::{RecordType, TypeSet};

/// The heads of the REQUESTs of a block, by [`RequestStep::head`](crate::RequestStep::head).
#[derive(Debug)]
pub struct Heads<'a> {
    body: Body<'a>,
    methods: &'a [u8],
}

impl<'a> Heads<'a> {
    /// Parses the heads in the raw body that belongs to `spine`, with the addresses if they are wanted.
    /// Other columns are passed over.
    ///
    /// # Errors
    ///
    /// Fails where the columns are cut off or hold what the format does not allow.
    pub fn new(
        spine: &Spine<'a>,
        raw_body: &'a [u8],
        with_addresses: bool,
    ) -> Result<Self, DecodeError> {
        let types = TypeSet::EMPTY.with(RecordType::Request);
        let body = Body::parse(raw_body, spine, types, with_addresses)?;
        Ok(Self { body, methods: spine.method_codes() })
    }

    /// The method of a REQUEST.
    ///
    /// # Errors
    ///
    /// Fails where there is no such REQUEST.
    pub fn method(&self, head: u32) -> Result<Method<'a>, DecodeError> {
        let code = self.methods.get(head as usize).copied();
        match code.and_then(Method::from_code) {
            Some(known) => Ok(known),
            None => self.body.other_method(head as usize),
        }
    }

    /// The url of a REQUEST; empty where there is no such REQUEST.
    ///
    /// # Errors
    ///
    /// Fails where the block has no urls.
    pub fn url(&self, head: u32) -> Result<&'a str, DecodeError> {
        self.body.url(head as usize)
    }

    /// The address that a REQUEST came from, if it is known and was wanted.
    pub fn ip(&self, head: u32) -> Option<IpAddr> {
        self.body.address(head as usize)
    }
}
