//! Carries a drain out: [`serve`] serves one connection until it may leave, and [`run`] leads the process through the stages
//! of [`crate::proxy::drain`].

pub mod run;
pub mod serve;
