//! What a pickle may not do is refused by name and place, before anything is run: there is nothing that could run it.

use crate::files::{OBJECT, Pickle, View, golden, legacy, refused, zip};

const NUMBER: View = View { key: "k", count: 1, part: None, offset: 0, shape: &[1], strides: &[1] };

/// Why a legacy file of this object is refused.
fn said(object: Pickle) -> String {
    refused(&legacy(&object.stop(), &[]))
}

#[test]
fn no_global_but_those_of_a_state_dict() {
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("__builtin__", "exec"),
        ("subprocess", "Popen"),
        ("torch.serialization", "load"),
        ("torch", "load"),
        ("torch", "ComplexFloatStorage"),
        ("torch.jit", "load"),
        ("torch.nn.modules.conv", "Conv2d"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("collections", "OrderedDict.__reduce__"),
        ("collections.OrderedDict", ""),
        ("", "OrderedDict"),
    ] {
        let expected = format!("names {module}.{name} at byte");
        let called = Pickle::new().global(module, name).raw(b"(").text("touch owned").raw(b"tR");
        let why = said(called);
        assert!(why.contains(&format!("{expected} {}", OBJECT + 2)) && why.contains("nothing was run"), "{why}");
        // Also where it is only mentioned, and in an archive.
        let mentioned = Pickle::new().raw(b"}").text("w").global(module, name).raw(b"s").stop();
        let why = refused(&zip(&[("a/data.pkl", &mentioned)], 0));
        assert!(why.contains(&format!("the pickle {expected} 9")), "{why}");
        // And named on the stack.
        let short = |text: &str| [&[0x8C, text.len() as u8], text.as_bytes()].concat();
        let stacked = Pickle::new().raw(&short(module)).raw(&short(name)).raw(b"\x93");
        assert!(said(stacked).contains(&expected), "{module}.{name}");
    }
}

/// Beside weights, too: such a name is in no checkpoint that a training wrote.
#[test]
fn a_command_is_refused_wherever_it_stands() {
    let one: &[(&str, &[f32])] = &[("k", &[1.0])];
    for (module, name) in [("os", "system"), ("builtins", "eval"), ("subprocess", "Popen"), ("importlib.util", "find")]
    {
        let beside = Pickle::new().raw(b"}(").text("w").tensor(&NUMBER).text("x").global(module, name).raw(b"u").stop();
        let why = refused(&legacy(&beside, one));
        assert!(why.contains(&format!("names {module}.{name} at byte")) && why.contains("nothing was run"), "{why}");
    }
}

#[test]
fn no_opcode_but_those_of_a_state_dict() {
    for (opcodes, name) in [
        (b"(X\x02\0\0\0idios\nsystem\n".as_slice(), "INST"),
        (b"(ccollections\nOrderedDict\no", "OBJ"),
        (b"\x82\x01", "EXT1"),
        (b"\x83\x01\0", "EXT2"),
        (b"\x84\x01\0\0\0", "EXT4"),
        (b"Pstorage\n", "PERSID"),
        (b"N2", "DUP"),
        (b"\x8B\xFF\xFF\xFF\x7F", "LONG4"),
        (b"\x8D\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", "BINUNICODE8"),
        (b"\x8E\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", "BINBYTES8"),
        (b"\x96\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", "BYTEARRAY8"),
        (b"\x97", "NEXT_BUFFER"),
        (b"I1\n", "INT"),
        (b"S'a'\n", "STRING"),
    ] {
        let why = said(Pickle::new().raw(opcodes));
        assert!(why.contains(&format!("opcode {name} at byte ")), "{name}: {why}");
    }
    assert!(said(Pickle::new().raw(b"\xFF")).contains("byte 0xff, which is no opcode, at byte 27"));
}

#[test]
fn known_names_are_called_only_as_torch_calls_them() {
    let dict = || Pickle::new().global("collections", "OrderedDict");
    for object in [
        dict().raw(b"(").text("x").raw(b"tR"),
        dict().raw(b"(](K\x01etR"),
        dict().raw(b"NR"),
        Pickle::new().text("x").raw(b")R"),
        Pickle::new().raw(b"})R"),
        Pickle::new().global("torch", "FloatStorage").raw(b"(").int(1 << 40).raw(b"tR"),
        Pickle::new().global("torch._utils", "_rebuild_tensor_v2").raw(b")R"),
        Pickle::new().global("torch._utils", "_rebuild_parameter").raw(b"(NtR"),
    ] {
        assert!(said(object).contains("is none that makes a state dict"));
    }
    let built =
        [Pickle::new().tensor(&NUMBER), Pickle::new().global("collections", "OrderedDict"), Pickle::new().raw(b"]")];
    for object in built {
        let why = said(object.raw(b"}b"));
        assert!(why.contains("BUILD at byte") && why.contains("no dict"), "{why}");
    }
    for id in [
        Pickle::new().text("k").raw(b"Q"),
        Pickle::new().raw(b"(").text("module").global("torch", "FloatStorage").text("file").text("source").raw(b"tQ"),
        Pickle::new().raw(b"(").text("storage").text("torch.FloatStorage").text("k").text("cpu").int(1).raw(b"tQ"),
    ] {
        assert!(said(id).contains("is to no storage of a tensor"));
    }
}

#[test]
fn the_stack_is_never_left() {
    for opcodes in [
        b"0".as_slice(),
        b"1",
        b"t",
        b"e",
        b"u",
        b"a",
        b"s",
        b"R",
        b"b",
        b"Q",
        b"\x85",
        b"q\0",
        b"\x94",
        b"\x93",
        b"(0t",
        b"N(\x85",
        b"N(a",
        b"](Na",
        b"}(Nu",
        b"}NNNu",
        b"N(Nte",
        b"h\x07",
        b"j\xFF\xFF\xFF\xFF",
        b"",
        b"\x80\x01N",
        b"\x80\x06N",
    ] {
        let why = said(Pickle::new().raw(opcodes));
        assert!(why.contains("at byte") || why.contains("byte "), "{opcodes:?}: {why}");
    }
}

#[test]
fn what_is_no_state_dict_is_refused() {
    let one: &[(&str, &[f32])] = &[("k", &[1.0])];
    let tensor = Pickle::new().tensor(&NUMBER).stop();
    assert!(refused(&legacy(&tensor, one)).contains("no dict of tensors"));
    assert!(refused(&legacy(&Pickle::new().raw(b"]q\0h\0a").stop(), &[])).contains("no dict of tensors"));
    let none = Pickle::new().raw(b"}").text("epoch").raw(b"K\x03s").stop();
    assert!(refused(&legacy(&none, &[])).contains("no dict of tensors"));
    let keyed = Pickle::new().raw(b"}K\x01").tensor(&NUMBER).raw(b"s").stop();
    assert!(refused(&legacy(&keyed, one)).contains("no dict of tensors"));
    let twice = Pickle::new().raw(b"}(").text("module.w").tensor(&NUMBER).text("w").tensor(&NUMBER).raw(b"u").stop();
    assert!(refused(&legacy(&twice, one)).contains("holds 'w' twice"));
    let after = [golden("torch_legacy_module.pth"), vec![0]].concat();
    assert!(refused(&after).contains("1 bytes follow the last storage"));
    assert!(refused(b"\x80\x02}.").contains("not of torch.save"));
}

#[test]
fn what_is_no_file_of_weights_is_told_from_one() {
    for (bytes, why) in [
        (b"".as_slice(), "the file is empty"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"something else altogether", "none of MXNet's .params"),
        (b"PK", "cut off or damaged"),
    ] {
        assert!(refused(bytes).contains(why), "{why}");
    }
}
