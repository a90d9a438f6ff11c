//! The annotation of one image: which classes its objects have. Boxes and parts are not read.

use artifact::{ClassId, ImageId};

use super::{Fault, QUOTED, Unknown, VocSource, quoted, read_file};

/// Many thousand objects. What is larger is something else, and the time to parse grows faster than the size.
const MAX_BYTES: usize = 1 << 20;

/// Classes of the objects in `Annotations/ID.xml`, ascending, each once; all faults of the file otherwise.
pub(super) fn read(source: &VocSource, id: &ImageId, may_lack: bool) -> Result<Vec<ClassId>, Vec<Fault>> {
    let file = format!("Annotations/{id}.xml");
    if may_lack && !source.root.join(&file).exists() {
        return Ok(vec![]);
    }
    let fault = |reason: String| Fault::new(&file, reason);
    let bytes = read_file(&source.root, &file).map_err(|fault| vec![fault])?;
    if bytes.len() > MAX_BYTES {
        return Err(vec![fault(format!("{} bytes are no annotation of one image; take its own", bytes.len()))]);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| vec![fault("not UTF-8 text; save it as UTF-8".into())])?;
    let tree = roxmltree::Document::parse(text)
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
        match name.map(|name| (name, source.classes.iter().position(|class| class == name))) {
            Some((_, Some(index))) => labels.push(ClassId::from_foreground(index)),
            Some((_, None)) if source.unknown_classes == Unknown::Ignore => {}
            Some((name, None)) => faults.push(fault(unknown(name, &source.classes))),
            None => faults.push(fault("an <object> without a <name>; add its class".into())),
        }
    }
    labels.sort_unstable();
    labels.dedup();
    if faults.is_empty() { Ok(labels) } else { Err(faults) }
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
