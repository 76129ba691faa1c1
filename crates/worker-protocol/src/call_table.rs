//! A table of functions that modules may import: numbers, names and types.

use crate::GuestType;

/// Makes an enum of it, with what can be asked of each function. `$module` is the name of
/// the constant that says what all of them are imported from.
macro_rules! call_table {
    (
        $(#[$attribute:meta])*
        $table:ident of $module:ident {
            $($number:literal $variant:ident $name:literal
                ($($param:ident)*) $(-> $result:ident)?;)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $table {
            $($variant = $number,)*
        }

        impl $table {
            pub const ALL: &[$table] = &[$(Self::$variant),*];

            #[doc = concat!("Its name in [`", stringify!($module), "`].")]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            pub fn params(self) -> &'static [$crate::GuestType] {
                match self {
                    $(Self::$variant => &[$($crate::GuestType::$param),*],)*
                }
            }

            pub fn result(self) -> Option<$crate::GuestType> {
                match self {
                    $(Self::$variant => [$($crate::GuestType::$result)?].first().copied(),)*
                }
            }

            /// As releases list it, such as `farrier.log`.
            pub fn import_name(self) -> String {
                format!("{}.{}", $module, self.name())
            }

            pub fn from_import_name(import: &str) -> Option<Self> {
                let name = import.strip_prefix($module)?.strip_prefix('.')?;
                Self::ALL.iter().copied().find(|call| call.name() == name)
            }

            /// As the compiler describes an import of this type: `(i32, i32) -> i32`.
            pub fn signature(self) -> String {
                $crate::call_table::signature(self.params(), self.result())
            }
        }
    };
}
pub(crate) use call_table;

pub(crate) fn signature(params: &[GuestType], result: Option<GuestType>) -> String {
    let params: Vec<&str> = params.iter().map(|t| t.name()).collect();
    format!("({}) -> {}", params.join(", "), result.map_or("()", GuestType::name))
}
