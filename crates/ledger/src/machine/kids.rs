//! The children of a branch. Most branches, the lowest ones, have two or three: only those that exist
//! take memory and are copied.

use super::trie::Child;

/// Children by nibble.
#[derive(Debug, Clone, Default)]
pub(super) struct Kids {
    /// Bit n stands for the child at nibble n.
    mask: u16,
    /// Those there are, by nibble.
    kids: Vec<Child>,
}

impl Kids {
    /// None yet, with room for so many.
    pub(super) fn with_capacity(count: usize) -> Self {
        Self { mask: 0, kids: Vec::with_capacity(count) }
    }

    fn place(&self, nibble: u8) -> Result<usize, usize> {
        let bit = 1u16 << nibble;
        let before = (self.mask & (bit - 1)).count_ones() as usize;
        if self.mask & bit == 0 { Err(before) } else { Ok(before) }
    }

    pub(super) fn get(&self, nibble: u8) -> Option<&Child> {
        self.place(nibble).ok().map(|at| &self.kids[at])
    }

    pub(super) fn get_mut(&mut self, nibble: u8) -> Option<&mut Child> {
        self.place(nibble).ok().map(|at| &mut self.kids[at])
    }

    /// Puts a child where there may be one.
    pub(super) fn put(&mut self, nibble: u8, kid: Child) {
        match self.place(nibble) {
            Ok(at) => self.kids[at] = kid,
            Err(at) => {
                self.mask |= 1 << nibble;
                self.kids.insert(at, kid);
            }
        }
    }

    pub(super) fn take(&mut self, nibble: u8) -> Option<Child> {
        let at = self.place(nibble).ok()?;
        self.mask &= !(1 << nibble);
        Some(self.kids.remove(at))
    }

    /// The only child, if there is just one.
    pub(super) fn take_only(&mut self) -> Option<(u8, Child)> {
        let nibble = u8::try_from(self.mask.trailing_zeros()).ok()?;
        if self.kids.len() == 1 { self.take(nibble).map(|kid| (nibble, kid)) } else { None }
    }

    pub(super) fn len(&self) -> usize {
        self.kids.len()
    }

    /// Ascending by nibble.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u8, &Child)> {
        (0u8..16).filter(|nibble| self.mask >> nibble & 1 == 1).zip(&self.kids)
    }

    /// The children alone, in the same order.
    pub(super) fn children(&self) -> std::slice::Iter<'_, Child> {
        self.kids.iter()
    }

    /// As many children at the same places.
    pub(super) fn map(&self, change: impl FnMut(&Child) -> Child) -> Self {
        Self { mask: self.mask, kids: self.kids.iter().map(change).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::trie::{Child, Far};
    use super::*;
    use alloy_trie::nodes::RlpNode;

    fn kid(id: u64) -> Child {
        Child::Far(Far { id, reference: RlpNode::default() })
    }

    fn ids(kids: &Kids) -> Vec<(u8, u64)> {
        let id = |kid: &Child| if let Child::Far(far) = kid { far.id } else { 0 };
        kids.iter().map(|(nibble, kid)| (nibble, id(kid))).collect()
    }

    #[test]
    fn children_stand_at_their_nibbles_whatever_the_order_they_came_in() {
        let mut kids = Kids::with_capacity(2);
        for nibble in [15, 0, 7] {
            kids.put(nibble, kid(u64::from(nibble) + 100));
        }
        assert_eq!(ids(&kids), [(0, 100), (7, 107), (15, 115)]);
        kids.put(7, kid(1));
        assert!(kids.get(6).is_none() && kids.get(7).is_some() && kids.get_mut(8).is_none());
        assert!(kids.take_only().is_none());
        assert!(kids.take(0).is_some() && kids.take(0).is_none());
        assert_eq!(ids(&kids.map(Child::clone)), [(7, 1), (15, 115)]);
        assert!(kids.take(15).is_some());
        assert_eq!(kids.take_only().map(|(nibble, _)| nibble), Some(7));
        assert!(kids.take_only().is_none() && kids.len() == 0);
    }
}
