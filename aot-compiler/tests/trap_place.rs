//! From what code leaves to a place in the module, without running anything: the words of
//! a metered module lead back to the instructions of the module as it was uploaded.

use aot_compiler::{meter, trap_place};
use wasmparser::{Operator, Parser, Payload};

const MODULE: &str = r#"(module
    (import "m" "f" (func))
    (memory 1)
    (func $first (param i32) (result i32)
      (loop $again
        (if (i32.eqz (local.get 0)) (then (unreachable)))
        (memory.fill (i32.const 0) (i32.const 1) (local.get 0))
        (br_if $again (i32.load (local.get 0))))
      (i32.div_u (i32.const 1) (local.get 0)))
    (func (export "second") (result i32) (local i64)
      (call 0)
      (drop (memory.grow (i32.const 1)))
      (i32.load (call $first (i32.const 5)))))"#;

/// The places of all instructions, by function.
fn places(wasm: &[u8]) -> Vec<Vec<(u64, String)>> {
    let mut functions = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::CodeSectionEntry(body) = payload.unwrap() else { continue };
        let mut reader = body.get_operators_reader().unwrap();
        let mut places = Vec::new();
        while !reader.eof() {
            let place = reader.original_position();
            let operator: Operator<'_> = reader.read().unwrap();
            places.push((place, format!("{operator:?}")));
        }
        functions.push(places);
    }
    functions
}

#[test]
fn each_instruction_of_a_plain_module_is_found_where_it_is() {
    let wasm = wat::parse_str(MODULE).unwrap();
    for (own_index, function) in (1..).zip(places(&wasm)) {
        for (place, operator) in function {
            let found = trap_place::find(&wasm, false, place as u32).unwrap().unwrap();
            assert_eq!((found.function, found.offset), (own_index, Some(place)), "{operator}");
        }
    }
    let found = trap_place::find(&wasm, false, places(&wasm)[0][0].0 as u32).unwrap().unwrap();
    assert_eq!(found.name.as_deref(), Some("first"));
}

#[test]
fn places_of_a_metered_module_lead_back_to_its_own_instructions() {
    let wasm = wat::parse_str(MODULE).unwrap();
    let metered = meter(&wasm).unwrap().wasm;
    for (own, instrumented) in places(&wasm).iter().zip(places(&metered)) {
        let mut own = own.iter();
        let mut next = own.next();
        for (place, operator) in instrumented {
            let found = trap_place::find(&wasm, true, place as u32).unwrap().unwrap();
            let (own_place, own_operator) = next.unwrap();
            // A charge belongs to what it was put in front of.
            assert_eq!(found.offset, Some(*own_place), "{operator}");
            if operator == *own_operator {
                next = own.next();
            }
        }
        assert_eq!(next, None, "every own instruction was met");
    }
}

#[test]
fn what_is_no_place_is_none() {
    let wasm = wat::parse_str(MODULE).unwrap();
    for place in [0, 8, u32::MAX, 1 << 20] {
        assert_eq!(trap_place::find(&wasm, false, place).unwrap(), None);
        assert_eq!(trap_place::find(&wasm, true, place).unwrap(), None);
    }
    assert!(trap_place::find(b"no module", false, 9).is_err());
}
