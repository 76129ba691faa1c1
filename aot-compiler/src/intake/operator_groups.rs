//! Which proposal an instruction came with, from `wasmparser`'s own list.

use wasmparser::Operator;

macro_rules! define_group_of {
    ($( @$group:ident $operator:ident $({ $($argument:ident: $ty:ty),* })? => $visit:ident ($($arity:tt)*) )*) => {
        /// The name that `wasmparser` has for the proposal, such as "tail_call".
        pub(super) fn group_of(operator: &Operator<'_>) -> &'static str {
            match operator {
                $( Operator::$operator { .. } => stringify!($group), )*
                // The type may grow; validation admits nothing that is not listed.
                _ => "",
            }
        }
    };
}

wasmparser::for_each_operator!(define_group_of);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_belongs_to_the_proposal_that_brought_it() {
        assert_eq!(group_of(&Operator::Nop), "mvp");
        assert_eq!(group_of(&Operator::V128Not), "simd");
        assert_eq!(group_of(&Operator::F32x4RelaxedMadd), "relaxed_simd");
        assert_eq!(group_of(&Operator::ReturnCall { function_index: 0 }), "tail_call");
    }
}
