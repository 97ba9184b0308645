//! Support vector machines with kernels.

use crate::Error;
use crate::codec::{Reader, Writer, damaged};
use crate::config::KernelKind;
use crate::svc::{Kernel, Svc};

pub(super) fn write_svc(writer: &mut Writer, svc: &Svc) {
    writer.byte(match svc.kernel.kind {
        KernelKind::Rbf => 0,
        KernelKind::Linear => 1,
        KernelKind::Poly => 2,
    });
    writer.double(svc.kernel.gamma);
    writer.count(svc.kernel.degree as usize);
    writer.double(svc.kernel.coef0);
    writer.doubles(&svc.vectors);
    writer.doubles(&svc.coefficients);
    writer.doubles(&svc.intercepts);
}

pub(super) fn read_svc(reader: &mut Reader<'_>, class_count: usize, width: usize) -> Result<Svc, Error> {
    let kind = match reader.byte()? {
        0 => KernelKind::Rbf,
        1 => KernelKind::Linear,
        2 => KernelKind::Poly,
        _ => return Err(damaged("an unknown kind of kernel")),
    };
    let kernel = Kernel {
        kind,
        gamma: reader.finite_double()?,
        degree: reader.below(1 << 10)? as u32,
        coef0: reader.finite_double()?,
    };
    let svc = Svc {
        class_count,
        kernel,
        vectors: reader.finite_doubles()?,
        coefficients: reader.finite_doubles()?,
        intercepts: reader.finite_doubles()?,
    };
    let pairs = class_count * (class_count - 1) / 2;
    let count = svc.coefficients.len() / pairs;
    if svc.intercepts.len() != pairs
        || !svc.coefficients.len().is_multiple_of(pairs)
        || svc.vectors.len() != count * width
    {
        return Err(damaged("the vectors do not fit the columns"));
    }
    Ok(svc)
}
