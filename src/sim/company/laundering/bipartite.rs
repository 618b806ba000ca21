//! Bipartite. AMLworld, AMLSim: accounts of a first set pay accounts of a second.

use super::draft::Draft;

/// Two to six accounts pay two to six others; each has at least two on the other side.
pub fn draw(draft: &mut Draft<'_, '_>) {
    let (sources, targets) = (draft.some(2, 6), draft.some(2, 6));
    let (sources, targets) = (draft.lents(sources), draft.lents(targets));
    let mut pairs: Vec<(u32, u32)> = sources.iter().flat_map(|from| targets.iter().map(|to| (*from, *to))).collect();
    draft.stage.chance.shuffle(&mut pairs);
    for place in (0..pairs.len()).rev() {
        let (from, to) = pairs[place];
        let has_more = pairs.iter().filter(|pair| pair.0 == from).count() > 2 && pairs.iter().filter(|pair| pair.1 == to).count() > 2;
        if has_more && draft.stage.chance.happens(3500) {
            pairs.remove(place);
        }
    }
    for (at, (from, to)) in draft.moments(pairs.len(), draft.start, draft.span).into_iter().zip(pairs) {
        let sum = draft.sum();
        draft.pay(from, to, sum, at);
    }
}
