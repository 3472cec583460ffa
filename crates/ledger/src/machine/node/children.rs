//! The children of a branch. Most branches have two or three; only existing children take memory and are
//! copied.

use super::Child;

/// Children by nibble.
#[derive(Debug, Clone, Default)]
pub(in crate::machine) struct Children {
    /// Bit n stands for the child at nibble n.
    mask: u16,
    /// The existing children, by nibble.
    children: Vec<Child>,
}

impl Children {
    /// No children, with capacity for `count`.
    pub(in crate::machine) fn with_capacity(count: usize) -> Self {
        Self { mask: 0, children: Vec::with_capacity(count) }
    }

    fn place(&self, nibble: u8) -> Result<usize, usize> {
        let bit = 1u16 << nibble;
        let before = (self.mask & (bit - 1)).count_ones() as usize;
        if self.mask & bit == 0 { Err(before) } else { Ok(before) }
    }

    pub(in crate::machine) fn get(&self, nibble: u8) -> Option<&Child> {
        self.place(nibble).ok().map(|at| &self.children[at])
    }

    pub(in crate::machine) fn get_mut(&mut self, nibble: u8) -> Option<&mut Child> {
        self.place(nibble).ok().map(|at| &mut self.children[at])
    }

    /// Sets or replaces the child at a nibble.
    pub(in crate::machine) fn put(&mut self, nibble: u8, child: Child) {
        match self.place(nibble) {
            Ok(at) => self.children[at] = child,
            Err(at) => {
                self.mask |= 1 << nibble;
                self.children.insert(at, child);
            }
        }
    }

    pub(in crate::machine) fn take(&mut self, nibble: u8) -> Option<Child> {
        let at = self.place(nibble).ok()?;
        self.mask &= !(1 << nibble);
        Some(self.children.remove(at))
    }

    /// The only child, if there is just one.
    pub(in crate::machine) fn take_only(&mut self) -> Option<(u8, Child)> {
        let nibble = u8::try_from(self.mask.trailing_zeros()).ok()?;
        if self.children.len() == 1 { self.take(nibble).map(|child| (nibble, child)) } else { None }
    }

    pub(in crate::machine) fn len(&self) -> usize {
        self.children.len()
    }

    /// Ascending by nibble.
    pub(in crate::machine) fn iter(&self) -> impl Iterator<Item = (u8, &Child)> {
        (0u8..16).filter(|nibble| self.mask >> nibble & 1 == 1).zip(&self.children)
    }

    /// The children alone, in the same order.
    pub(in crate::machine) fn values(&self) -> std::slice::Iter<'_, Child> {
        self.children.iter()
    }

    /// The children after `change`, at the same nibbles.
    pub(in crate::machine) fn map(&self, change: impl FnMut(&Child) -> Child) -> Self {
        Self { mask: self.mask, children: self.children.iter().map(change).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Child, StoredNode};
    use super::*;
    use alloy_trie::nodes::RlpNode;

    fn child(id: u64) -> Child {
        Child::Stored(StoredNode { id, reference: RlpNode::default() })
    }

    fn ids(children: &Children) -> Vec<(u8, u64)> {
        let id = |child: &Child| if let Child::Stored(far) = child { far.id } else { 0 };
        children.iter().map(|(nibble, child)| (nibble, id(child))).collect()
    }

    #[test]
    fn children_stand_at_their_nibbles_whatever_the_order_they_came_in() {
        let mut children = Children::with_capacity(2);
        for nibble in [15, 0, 7] {
            children.put(nibble, child(u64::from(nibble) + 100));
        }
        assert_eq!(ids(&children), [(0, 100), (7, 107), (15, 115)]);
        children.put(7, child(1));
        assert!(children.get(6).is_none() && children.get(7).is_some() && children.get_mut(8).is_none());
        assert!(children.take_only().is_none());
        assert!(children.take(0).is_some() && children.take(0).is_none());
        assert_eq!(ids(&children.map(Child::clone)), [(7, 1), (15, 115)]);
        assert!(children.take(15).is_some());
        assert_eq!(children.take_only().map(|(nibble, _)| nibble), Some(7));
        assert!(children.take_only().is_none() && children.len() == 0);
    }
}
