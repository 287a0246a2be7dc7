//! What the heads of the requests of a block tell, as far as it is needed.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use logq_format::{Heads, RecordType, RequestStep, UrlSections};

use super::{Needs, Told};
use crate::hit::Target;

/// The heads of the requests of a block, as far as they are needed.
#[derive(Debug)]
pub(super) struct NeededHeads<'h> {
    pub(super) heads: Option<&'h Heads<'h>>,
    /// Where nothing else of targets is needed.
    pub(super) sections: Option<UrlSections<'h>>,
    pub(super) needs: Needs,
}

impl<'h> NeededHeads<'h> {
    #[inline]
    pub(super) fn target(&self, head: u32) -> Target<'h> {
        if let Some(section) = self.sections.and_then(|sections| sections.name(head)) {
            return Target::of_section(section.as_bytes());
        }
        let heads = self.heads.filter(|_| self.needs.targets);
        let asked = heads.and_then(|heads| Some((heads.method(head).ok()?, heads.url(head).ok()?)));
        asked.map_or(Target::Unknown, |(method, url)| {
            Target::of(method.as_str().as_bytes(), url.as_bytes())
        })
    }

    #[inline]
    pub(super) fn ip(&self, head: u32) -> Option<IpAddr> {
        self.heads.filter(|_| self.needs.clients).and_then(|heads| heads.ip(head))
    }

    pub(super) fn told(&self, step: &RequestStep) -> Told<'h> {
        let RequestStep { status, bytes, duration_us, head, .. } = *step;
        match step.record_type {
            RecordType::Response => Told::Response { status, bytes, duration_us },
            RecordType::ResponseFinished => Told::Finished { bytes },
            _ => {
                let client = owned_client_of(self.ip(head));
                Told::Request { target: self.target(head), client }
            }
        }
    }
}

/// The longest address of version 4.
pub(super) const TEXT_BYTES: usize = 15;

/// A client as lists have it; empty if it is unknown. Addresses of version 4, of which there are many,
/// are written to `text`.
pub(super) fn client_of(ip: Option<IpAddr>, text: &mut [u8; TEXT_BYTES]) -> Cow<'_, [u8]> {
    match ip {
        None => Cow::Borrowed(&[]),
        Some(IpAddr::V4(ip)) => Cow::Borrowed(text_of(ip, text)),
        Some(ip) => Cow::Owned(ip.to_string().into_bytes()),
    }
}

pub(super) fn owned_client_of(ip: Option<IpAddr>) -> Cow<'static, [u8]> {
    Cow::Owned(client_of(ip, &mut [0; TEXT_BYTES]).into_owned())
}

/// The same as its `Display` has it.
fn text_of(ip: Ipv4Addr, text: &mut [u8; TEXT_BYTES]) -> &[u8] {
    let mut len = 0;
    let mut push = |byte: u8| {
        if let Some(place) = text.get_mut(len) {
            *place = byte;
            len += 1;
        }
    };
    for (number, octet) in ip.octets().into_iter().enumerate() {
        if number > 0 {
            push(b'.');
        }
        if octet >= 100 {
            push(b'0' + octet / 100);
        }
        if octet >= 10 {
            push(b'0' + octet / 10 % 10);
        }
        push(b'0' + octet % 10);
    }
    text.get(..len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_written_as_everywhere() {
        for octet in 0..=255 {
            let ip = Ipv4Addr::new(octet, 0, 255 - octet, octet);
            assert_eq!(&*owned_client_of(Some(ip.into())), ip.to_string().as_bytes());
        }
        let ip: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(&*owned_client_of(Some(ip)), b"2001:db8::1");
        assert_eq!(&*owned_client_of(None), b"");
    }
}
