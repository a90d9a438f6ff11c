//! Values of JSON by dotted names, as in `optimizer.lr`. An entry whose own name holds a dot can be listed, not looked
//! up.

use std::collections::BTreeMap;

use serde_json::Value;

/// The value at a dotted name.
pub fn get<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.').try_fold(value, |value, part| value.as_object()?.get(part))
}

/// The same to be changed.
pub fn get_mut<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    name.split('.').try_fold(value, |value, part| value.as_object_mut()?.get_mut(part))
}

/// Removes and returns the value at a dotted name.
pub fn take(value: &mut Value, name: &str) -> Option<Value> {
    match name.split_once('.') {
        Some((head, rest)) => take(value.get_mut(head)?, rest),
        None => value.as_object_mut()?.remove(name),
    }
}

/// Every value below `value` that is no table of others, by its dotted name. An empty table is such a value too.
pub fn leaves(value: &Value) -> BTreeMap<String, &Value> {
    let mut found = BTreeMap::new();
    collect(value, String::new(), &mut found);
    found
}

fn collect<'a>(value: &'a Value, name: String, found: &mut BTreeMap<String, &'a Value>) {
    match value.as_object().filter(|table| !table.is_empty()) {
        Some(table) => {
            let dot = if name.is_empty() { "" } else { "." };
            table.iter().for_each(|(part, value)| collect(value, format!("{name}{dot}{part}"), found));
        }
        None => drop(found.insert(name, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_dotted_name_leads_through_tables_only() {
        let mut value = json!({"a": {"b": {"c": 1}, "d": [5, 6]}, "e": {}});
        assert_eq!(get(&value, "a.b.c"), Some(&json!(1)));
        assert_eq!(get(&value, "a.b"), Some(&json!({"c": 1})));
        for name in ["", "a.x", "a.b.c.d", "a.d.0", ".a"] {
            assert_eq!(get(&value, name), None, "{name}");
            assert_eq!(take(&mut value, name), None, "{name}");
        }
        let (one, list, empty) = (json!(1), json!([5, 6]), json!({}));
        let expected = [("a.b.c", &one), ("a.d", &list), ("e", &empty)].map(|(name, leaf)| (name.to_owned(), leaf));
        assert_eq!(leaves(&value), expected.into());
        assert_eq!(take(&mut value, "a.b.c"), Some(json!(1)));
        assert_eq!(value, json!({"a": {"b": {}, "d": [5, 6]}, "e": {}}));
    }
}
