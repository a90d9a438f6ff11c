//! Which experiments there are: those of `[experiment]`, and each variant of `[matrix]` at each seed.

use std::collections::BTreeSet;

use super::{Manifest, Node, known_entries, typed};
use crate::{Error, Result};

const MATRIX: [&str; 3] = ["seeds", "targets", "variant"];
/// Between a variant and its seed in the name of an experiment.
const SEED_MARK: char = '~';

/// What an experiment lays over the stages.
pub(super) struct Setup<'a> {
    /// Its name: `rcm`, or `rcm~2` for seed 2 of a variant.
    pub name: String,
    /// What `"${experiment}"` stands for: the name without the seed.
    pub title: String,
    /// Its seed.
    pub seed: u64,
    /// Tables that are laid over the stages; the last wins.
    pub layers: Vec<&'a Node>,
    /// The stages it is after; all if there is no such list.
    pub targets: Option<&'a Node>,
}

impl Setup<'_> {
    /// Is it a variant at one of the matrix's seeds?
    fn is_of_matrix(&self) -> bool {
        self.name != self.title
    }
}

/// The name of a variant at a seed: `rcm~2`.
pub fn at_seed(variant: &str, seed: u64) -> String {
    format!("{variant}{SEED_MARK}{seed}")
}

/// The variant and the seed that the name of an experiment consists of: `rcm` and 2 of `rcm~2`. The name of an
/// experiment outside a matrix is the variant itself, without a seed.
pub fn variant_of(experiment: &str) -> (&str, Option<u64>) {
    let parts = experiment.rsplit_once(SEED_MARK).and_then(|(variant, seed)| Some((variant, seed.parse().ok()?)));
    match parts {
        Some((variant, seed)) if at_seed(variant, seed) == experiment => (variant, Some(seed)),
        _ => (experiment, None),
    }
}

impl Manifest {
    /// The experiment that `latest` means; of a variant, its first seed.
    pub fn main(&self) -> Result<String> {
        let main = match self.root.get("pipeline.main") {
            Some(_) => self.value("pipeline.main")?,
            None => "main".to_owned(),
        };
        match (self.variant(&main), self.seeds()?.first()) {
            (Some(_), Some(seed)) => Ok(at_seed(&main, *seed)),
            _ => Ok(main),
        }
    }

    /// Names of the experiments, the main one last; of a matrix seed after seed, so that one that is interrupted has
    /// compared all variants at its first seeds.
    pub fn experiments(&self) -> Result<Vec<String>> {
        let main = self.main()?;
        let variants = self.variants().map(|(name, _)| name);
        let mut variants: Vec<_> = variants.collect();
        variants.sort_by_key(|name| matches!(variant_of(&main), (variant, Some(_)) if variant == *name));
        let plain = self.table("experiment").filter(|(name, _)| self.variant(name).is_none());
        let mut names: Vec<_> = plain.map(|(name, _)| name.clone()).collect();
        for seed in self.seeds()? {
            names.extend(variants.iter().map(|variant| at_seed(variant, seed)));
        }
        if names.is_empty() {
            names.push(main.clone());
        }
        names.sort_by_key(|name| *name == main && self.table("experiment").any(|(plain, _)| plain == name));
        Ok(names)
    }

    /// The experiments that a name selects: a variant all its seeds, any other name itself.
    pub fn select(&self, name: &str) -> Result<Vec<String>> {
        if self.variant(name).is_some() {
            return Ok(self.seeds()?.into_iter().map(|seed| at_seed(name, seed)).collect());
        }
        let known = self.experiments()?;
        if known.iter().any(|known| known == name) {
            return Ok(vec![name.to_owned()]);
        }
        let known = known.join(", ");
        Err(Error::Config(format!("no experiment '{name}' in {}; there are {known}", self.path.display())))
    }

    /// The one experiment that a name selects.
    pub fn select_one(&self, name: &str) -> Result<String> {
        <[String; 1]>::try_from(self.select(name)?).map(|[only]| only).map_err(|names| {
            let names = names.join(", ");
            Error::Config(format!("'{name}' is a variant of the matrix; name it at one seed: {names}"))
        })
    }

    /// File and line of the seed of an experiment.
    pub fn seed_place(&self, experiment: &str) -> String {
        let own = self.table("experiment").filter(|(name, _)| *name == experiment);
        match own.into_iter().find_map(|(_, node)| node.get("seed")) {
            Some(node) => node.origin().to_string(),
            None if self.at_seed(experiment).is_some() => self.place("matrix.seeds"),
            None => self.place("pipeline.seed"),
        }
    }

    /// Checks the tables `experiment` and `matrix`, and that the main experiment is one of theirs.
    pub(super) fn check_experiments(&self) -> Result<()> {
        let stages = self.stages();
        let stages: Vec<_> = stages.iter().map(String::as_str).collect();
        for (name, experiment) in self.table("experiment") {
            check_name(name, experiment)?;
            known_entries(experiment, &[&stages[..], &["targets", "seed"]].concat())?;
        }
        if let Some(matrix) = self.root.get("matrix") {
            known_entries(matrix, &MATRIX)?;
            for (name, variant) in self.variants() {
                check_name(name, variant)?;
                known_entries(variant, &[&stages[..], &["targets"]].concat())?;
            }
            let seeds = self.seeds()?;
            let distinct: BTreeSet<_> = seeds.iter().collect();
            if seeds.is_empty() || distinct.len() < seeds.len() || self.variants().next().is_none() {
                return Err(Error::Config(format!(
                    "{}: a matrix has one or more different seeds and variants: seeds = [1, 2], [matrix.variant.NAME]",
                    matrix.origin()
                )));
            }
        }
        let (main, experiments) = (self.main()?, self.experiments()?);
        if experiments.contains(&main) {
            return Ok(());
        }
        let (place, known) = (self.place("pipeline.main"), experiments.join(", "));
        Err(Error::Config(format!("{place}: no experiment '{main}'; there are {known}")))
    }

    /// What an experiment lays over the stages.
    pub(super) fn setup(&self, name: &str) -> Result<Setup<'_>> {
        let name = self.select_one(name)?;
        if let Some((variant, over, seed)) = self.at_seed(&name) {
            let plain = self.root.get("experiment").and_then(|all| all.entry(variant));
            let matrix = self.root.get("matrix");
            let targets = [Some(over), matrix, plain].into_iter().flatten().find_map(|table| table.get("targets"));
            let layers = plain.into_iter().chain([over]).collect();
            return Ok(Setup { title: variant.to_owned(), name, seed, layers, targets });
        }
        let over = self.root.get("experiment").and_then(|all| all.entry(&name));
        let seed = match over.and_then(|over| over.get("seed")) {
            Some(node) => typed(node, "seed")?,
            None => self.value("pipeline.seed")?,
        };
        let targets = over.and_then(|over| over.get("targets"));
        Ok(Setup { title: name.clone(), name, seed, layers: over.into_iter().collect(), targets })
    }

    /// The experiment that `@name` means in a need of `asker`: among variants, the same seed.
    pub(super) fn owner(&self, name: &str, asker: &Setup<'_>) -> Result<String> {
        if asker.is_of_matrix() && self.variant(name).is_some() {
            return Ok(at_seed(name, asker.seed));
        }
        self.select_one(name)
    }

    /// Variant, what it lays over the stages, and seed of the name of an experiment of the matrix.
    fn at_seed<'a>(&self, experiment: &'a str) -> Option<(&'a str, &Node, u64)> {
        let (variant, Some(seed)) = variant_of(experiment) else { return None };
        let over = self.variant(variant)?;
        self.seeds().ok()?.contains(&seed).then_some((variant, over, seed))
    }

    fn seeds(&self) -> Result<Vec<u64>> {
        self.root.get("matrix.seeds").map_or(Ok(Vec::new()), |node| typed(node, "matrix.seeds"))
    }

    fn variants(&self) -> impl Iterator<Item = (&String, &Node)> {
        self.table("matrix.variant")
    }

    fn variant(&self, name: &str) -> Option<&Node> {
        self.root.get("matrix.variant")?.entry(name)
    }

    fn table(&self, name: &str) -> impl Iterator<Item = (&String, &Node)> {
        self.root.get(name).into_iter().flat_map(Node::entries)
    }
}

/// Experiments name links in the store, and `@` and `~` have their meaning in needs and seeds.
fn check_name(name: &str, node: &Node) -> Result<()> {
    let safe = |c: char| c.is_ascii_alphanumeric() || "+-_.,=".contains(c);
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if first && name.chars().all(safe) && name.len() <= 100 {
        return Ok(());
    }
    Err(Error::Config(format!(
        "{}: '{name}' is no name for an experiment: it becomes part of file names, so use letters, digits and \
         + - _ . , = after a letter or digit, 100 at most",
        node.origin()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_apart_as_it_was_put_together() {
        assert_eq!(variant_of(&at_seed("rcm+mam", 12)), ("rcm+mam", Some(12)));
        for plain in ["rcm", "rcm~x", "rcm~02"] {
            assert_eq!(variant_of(plain), (plain, None));
        }
    }
}
