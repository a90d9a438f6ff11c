//! The annotation of one image: which classes its objects have. Boxes and parts are not read.

use artifact::ClassId;

use super::fault::{Fault, QUOTED, quoted};
use super::listing::only;
use super::tree::{Tree, name, split_ending};
use super::{Source, Unknown, WithoutAnnotation, read_file, text};

/// Many thousand objects. What is larger is something else, and the time to parse grows faster than the size.
const MAX_BYTES: usize = 1 << 20;

/// What an annotation says.
pub(super) enum Annotated {
    /// Classes of its objects, ascending, each once.
    Labels(Vec<ClassId>),
    /// There is none, or an empty file: background, where the source says so.
    Nothing,
}

/// Reads `Annotations/ID.xml`, or the one beside the picture; all faults of the file otherwise.
pub(super) fn read(source: &Source, tree: &Tree, id: &str, image: &str) -> Result<Annotated, Vec<Fault>> {
    let usual = format!("Annotations/{id}.xml");
    let beside = format!("{}.xml", split_ending(image).0);
    let by_file = format!("Annotations/{}", name(&beside));
    let mut file = None;
    for wanted in [&usual, &by_file, &beside] {
        let found = only(&tree.file(wanted), wanted).map_err(|reason| vec![Fault::new(&usual, reason)])?;
        file = file.or(found);
    }
    let may_lack = source.without_annotation == WithoutAnnotation::Background;
    let nothing = |file: &str, what: &str| {
        let reason = format!("{what}; if its image shows no object of any class, without_annotation = \"background\"");
        if may_lack { Ok(Annotated::Nothing) } else { Err(vec![Fault::new(file, reason)]) }
    };
    let Some(file) = file else {
        return nothing(&usual, "missing, add it");
    };
    let fault = |reason: String| Fault::new(file, reason);
    let bytes = read_file(&source.root, file).map_err(|fault| vec![fault])?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return nothing(file, "an empty file, fetch it again");
    }
    if bytes.len() > MAX_BYTES {
        return Err(vec![fault(format!("{} bytes are no annotation of one image; take its own", bytes.len()))]);
    }
    parse(source, &text::xml(&bytes), fault).map(Annotated::Labels)
}

fn parse(source: &Source, xml: &text::Xml, fault: impl Fn(String) -> Fault) -> Result<Vec<ClassId>, Vec<Fault>> {
    let tree = roxmltree::Document::parse(&xml.text)
        .map_err(|error| vec![fault(format!("malformed XML ({error}); mend or fetch it again"))])?;
    let root = tree.root_element();
    if !root.has_tag_name("annotation") {
        let name = quoted(root.tag_name().name());
        return Err(vec![fault(format!("an element {name} is no VOC annotation; <annotation> is"))]);
    }

    let mut labels = vec![];
    let mut faults = vec![];
    for object in root.children().filter(|node| node.has_tag_name("object")) {
        // Only the object's own name: its <part> elements have names too.
        let name = object.children().find(|node| node.has_tag_name("name")).and_then(|node| node.text()).map(str::trim);
        if name.is_some_and(|name| xml.guessed && !name.is_ascii()) {
            faults.push(fault("not UTF-8 text; name its encoding in its first line, or save it as UTF-8".to_owned()));
            continue;
        }
        match name.map(|name| class(source, name)) {
            Some(Ok(class)) => labels.extend(class),
            Some(Err(reason)) => faults.push(fault(reason)),
            None => faults.push(fault("an <object> without a <name>; add its class".into())),
        }
    }
    labels.sort_unstable();
    labels.dedup();
    if faults.is_empty() { Ok(labels) } else { Err(faults) }
}

/// Names of the objects of an annotation, whatever they are; none if it is no annotation.
pub(super) fn names(root: &std::path::Path, file: &str) -> Vec<String> {
    let Ok(bytes) = read_file(root, file) else { return vec![] };
    let xml = text::xml(&bytes[..bytes.len().min(MAX_BYTES)]);
    let Ok(tree) = roxmltree::Document::parse(&xml.text) else { return vec![] };
    let objects = tree.root_element().children().filter(|node| node.has_tag_name("object"));
    let name = |object: roxmltree::Node| {
        let name = object.children().find(|node| node.has_tag_name("name"))?;
        Some(super::tree::compose(name.text()?.trim()))
    };
    objects.filter_map(name).collect()
}

/// The class of this name; none if it is one that the source ignores.
pub(super) fn class(source: &Source, name: &str) -> Result<Option<ClassId>, String> {
    let same = |class: &String| super::tree::compose(class) == super::tree::compose(name);
    match source.classes.iter().position(same) {
        Some(index) => Ok(Some(ClassId::from_foreground(index))),
        None if source.unknown_classes == Unknown::Ignore => Ok(None),
        None => Err(unknown(name, &source.classes)),
    }
}

fn unknown(name: &str, classes: &[String]) -> String {
    // Comparing takes memory by the product of the lengths.
    let comparable = classes.iter().filter(|class| class.len() + name.len() <= 4 * QUOTED);
    let near = comparable
        .map(|class| (strsim::damerau_levenshtein(&class.to_lowercase(), &name.to_lowercase()), class))
        .min()
        .filter(|(distance, class)| *distance <= class.chars().count() / 3);
    match near {
        Some((_, class)) => format!("unknown class {}; did you mean '{class}'?", quoted(name)),
        None => format!("unknown class {}; add it to classes, or ignore unknown classes", quoted(name)),
    }
}
