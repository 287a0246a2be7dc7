//! Groups on their way to the output: each printed in one piece, in the order of their first matches.
//!
//! The first group that is not done is written at once; those behind it wait until it is. A process
//! may be silent for long, so what waits is bounded: beyond that, the first group is interrupted
//! after what there is of it, and goes on behind those that were waiting.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use logq_reader::Order;

use super::Rank;
use crate::output::{Output, Printer};

/// The most bytes that wait.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// Names an open group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in super::super) struct GroupId(u64);

#[derive(Debug)]
struct Group {
    id: GroupId,
    /// Its last record that matches so far.
    last_match: Rank,
    /// The texts of its records that are not written yet.
    texts: Vec<Vec<u8>>,
    is_done: bool,
}

/// All groups that are not written yet.
pub(in super::super) struct Groups<'o> {
    printer: &'o Printer,
    out: &'o mut Output,
    /// The order of a search whose findings are all kept and printed the other way round at the end.
    turned: Option<Order>,
    waiting: VecDeque<Group>,
    waiting_bytes: usize,
    /// Whose records were written last.
    last_written: Option<GroupId>,
    next: u64,
    /// Whether nobody reads any more.
    is_closed: bool,
}

impl<'o> Groups<'o> {
    pub(in super::super) fn new(
        printer: &'o Printer,
        turned: Option<Order>,
        out: &'o mut Output,
    ) -> Self {
        Self {
            printer,
            out,
            turned,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            last_written: None,
            next: 0,
            is_closed: false,
        }
    }

    /// Begins a group with these records, the last of which matches.
    pub(in super::super) fn begin(&mut self, texts: Vec<Vec<u8>>, rank: Rank) -> GroupId {
        let id = GroupId(self.next);
        self.next += 1;
        self.waiting.push_back(Group { id, last_match: rank, texts: Vec::new(), is_done: false });
        self.go_on(id, texts, Some(rank));
        id
    }

    /// Adds records to a group; the last one may match.
    pub(in super::super) fn go_on(&mut self, id: GroupId, texts: Vec<Vec<u8>>, rank: Option<Rank>) {
        let Some(group) = self.waiting.iter_mut().find(|group| group.id == id) else { return };
        group.last_match = rank.unwrap_or(group.last_match);
        self.waiting_bytes += texts.iter().map(Vec::len).sum::<usize>();
        group.texts.extend(texts);
        self.write_some();
    }

    /// Nothing more is added to a group.
    pub(in super::super) fn end(&mut self, id: GroupId) {
        if let Some(group) = self.waiting.iter_mut().find(|group| group.id == id) {
            group.is_done = true;
        }
        self.write_some();
    }

    /// Whether it is worth going on.
    pub(in super::super) fn flow(&self) -> ControlFlow<()> {
        if self.is_closed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Writes all that is left.
    pub(in super::super) fn finish(mut self) {
        if let Some(order) = self.turned.take() {
            self.turn(order);
        }
        self.waiting.iter_mut().for_each(|group| group.is_done = true);
        self.write_some();
    }

    /// Turns everything around: the last match of a group becomes its first one.
    fn turn(&mut self, order: Order) {
        let groups = self.waiting.make_contiguous();
        groups.iter_mut().for_each(|group| group.texts.reverse());
        groups.sort_by_key(|group| group.last_match);
        if order == Order::Ascending {
            groups.reverse();
        }
    }

    fn write_some(&mut self) {
        if self.turned.is_some() {
            return;
        }
        loop {
            self.write_front();
            let Some(front) = self.waiting.front() else { return };
            if front.is_done {
                self.waiting.pop_front();
            } else if self.waiting_bytes > WAITING_BYTES_MAX && self.waiting.len() > 1 {
                self.waiting.rotate_left(1);
            } else {
                return;
            }
        }
    }

    fn write_front(&mut self) {
        let Some(front) = self.waiting.front_mut() else { return };
        if front.texts.is_empty() {
            return;
        }
        let mut text = Vec::new();
        if self.last_written.is_some_and(|last| last != front.id) {
            self.printer.separator(&mut text);
        }
        self.last_written = Some(front.id);
        for record in front.texts.drain(..) {
            self.waiting_bytes -= record.len();
            text.extend_from_slice(&record);
        }
        self.is_closed |= self.out.write(&text).is_break();
    }
}
