//! Where the nodes and arrows of a directed graph without circles are drawn: layers along the flow, lanes across it.

/// A graph. Arrows lead from earlier nodes to later ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    /// Number of nodes.
    pub nodes: usize,
    /// Arrows, each from a node to a later one.
    pub arrows: Vec<(usize, usize)>,
}

/// A place: how far along the flow, and how far from its middle line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub layer: usize,
    pub lane: usize,
}

/// Where everything is drawn.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub layers: usize,
    pub lanes: usize,
    /// Of every node.
    pub nodes: Vec<Place>,
    /// What each arrow passes, its two nodes included.
    pub arrows: Vec<Vec<Place>>,
}

impl Graph {
    /// The graph without the arrows that others imply.
    pub fn reduced(&self) -> Self {
        let direct = |from, to| self.arrows.contains(&(from, to));
        // By any way; of later nodes it is known before it is asked for earlier ones.
        let mut reaches: Vec<Vec<bool>> = vec![Vec::new(); self.nodes];
        for from in (0..self.nodes).rev() {
            let via = |to| (from + 1..to).any(|via| direct(from, via) && reaches[via][to]);
            reaches[from] = (0..self.nodes).map(|to| from < to && (direct(from, to) || via(to))).collect();
        }
        let implied = |from: usize, to: usize| (from + 1..to).any(|via| reaches[from][via] && reaches[via][to]);
        let mut arrows: Vec<_> = self.arrows.iter().copied().filter(|(from, to)| !implied(*from, *to)).collect();
        arrows.sort_unstable();
        arrows.dedup();
        Self { nodes: self.nodes, arrows }
    }

    /// Each node stands behind the longest way to it; the longest way from it decides who is nearer to the middle line.
    /// An arrow over several layers keeps a lane free in each.
    pub fn layout(&self) -> Layout {
        let (mut layer, mut ahead) = (vec![0; self.nodes], vec![0; self.nodes]);
        for node in 0..self.nodes {
            let before = self.arrows.iter().filter(|(_, to)| *to == node).map(|(from, _)| layer[*from] + 1);
            layer[node] = before.max().unwrap_or(0);
        }
        for node in (0..self.nodes).rev() {
            let after = self.arrows.iter().filter(|(from, _)| *from == node).map(|(_, to)| ahead[*to] + 1);
            ahead[node] = after.max().unwrap_or(0);
        }
        let layers = layer.iter().max().map_or(0, |last| last + 1);
        let mut used = vec![0; layers];
        let mut take = |layer: usize| {
            used[layer] += 1;
            Place { layer, lane: used[layer] - 1 }
        };
        let mut order: Vec<_> = (0..self.nodes).collect();
        order.sort_by_key(|node| (usize::MAX - ahead[*node], *node));
        let mut nodes = vec![Place { layer: 0, lane: 0 }; self.nodes];
        for node in order {
            nodes[node] = take(layer[node]);
        }
        let passes = |&(from, to): &(usize, usize)| {
            let between: Vec<_> = (layer[from] + 1..layer[to]).map(&mut take).collect();
            [vec![nodes[from]], between, vec![nodes[to]]].concat()
        };
        let arrows = self.arrows.iter().map(passes).collect();
        Layout { layers, lanes: used.into_iter().max().unwrap_or(0), nodes, arrows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pipeline: data, CAM net, CAMs, threshold, AffinityNet, walk, DeepLab, scores, and all that each reads.
    fn pipeline() -> Graph {
        let inputs: [&[usize]; 8] = [&[], &[0], &[0, 1], &[0, 2], &[0, 1, 2], &[0, 2, 4], &[0, 1, 5], &[0, 2, 3, 5, 6]];
        let arrows = inputs.iter().enumerate().flat_map(|(to, from)| from.iter().map(move |from| (*from, to)));
        Graph { nodes: 8, arrows: arrows.collect() }
    }

    #[test]
    fn arrows_that_others_imply_are_left_out() {
        let expected = [(0, 1), (1, 2), (2, 3), (2, 4), (3, 7), (4, 5), (5, 6), (6, 7)];
        assert_eq!(pipeline().reduced().arrows, expected);
    }

    #[test]
    fn the_longest_way_is_the_middle_line() {
        let layout = pipeline().reduced().layout();
        assert_eq!((layout.layers, layout.lanes), (7, 2));
        let at = |layer, lane| Place { layer, lane };
        assert_eq!(layout.nodes[4], at(3, 0));
        assert_eq!(layout.nodes[3], at(3, 1), "the threshold leads to the scores at once");
        assert_eq!(layout.arrows[4], [at(3, 1), at(4, 1), at(5, 1), at(6, 0)]);
    }
}
