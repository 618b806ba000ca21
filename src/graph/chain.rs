//! The rows of a node, one after the other, to the end of what is visible.

use super::row::{Link, NodeId, Row};
use super::{Family, Graph, Head, Ring};

/// Visible rows of a node in a family, newest first by arrival.
#[derive(Clone, Copy)]
pub struct Chain<'g> {
    ring: &'g Ring,
    node: NodeId,
    link: Link,
    before: u64,
}

/// A row of a chain.
#[derive(Clone, Copy)]
pub struct Linked<'g> {
    /// The row's position, and the slot that the node has in it.
    pub link: Link,
    /// Number of the row since its ring was empty.
    pub ordinal: u64,
    pub row: &'g Row,
}

impl<'g> Iterator for Chain<'g> {
    type Item = Linked<'g>;

    #[inline]
    fn next(&mut self) -> Option<Linked<'g>> {
        let link = self.link;
        let (ordinal, row) = self.ring.follow(link, self.node, self.before)?;
        self.before = ordinal;
        self.link = row.previous[link.slot()];
        Some(Linked { link, ordinal, row })
    }
}

impl Graph {
    /// All visible rows of `node` in `family`. Each is found by the one before it: whoever walks bounds the walk.
    pub fn chain(&self, family: Family, node: NodeId) -> Chain<'_> {
        let link = match node.is_some().then(|| self.nodes.head(node, family)) {
            Some(Head::Cold(link)) => link,
            Some(Head::Warm(record)) => Link(self.warm[family as usize].recent(record)[0]),
            Some(Head::Empty) | None => Link::NONE,
        };
        Chain { ring: &self.rings[family as usize], node, link, before: u64::MAX >> 1 }
    }

    /// Hints that the newest rows of `node` in `family` will be read, where it is known which they are.
    pub fn prefetch_chain(&self, family: Family, node: NodeId) {
        match self.nodes.head(node, family) {
            Head::Warm(record) => {
                let ring = &self.rings[family as usize];
                let links = self.warm[family as usize].recent(record).iter().map(|word| Link(*word));
                links.take_while(|link| *link != Link::NONE).for_each(|link| ring.prefetch(link.position()));
            }
            Head::Cold(link) => self.rings[family as usize].prefetch(link.position()),
            Head::Empty => {}
        }
    }
}
