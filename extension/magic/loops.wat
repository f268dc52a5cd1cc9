;; The loops over all bytes of an array for which NumPy takes up to five times as long (Pyodide 314), as
;; WebAssembly on Python's own memory. _loops.py has the same ones in NumPy. Addresses need not be
;; aligned, counts may be 0.
(module
  (import "python" "memory" (memory 0))

  ;; Return the dot product, modulo 2**64, of `count` 64-bit words at `words` and as many at `factors`.
  (func (export "dot") (param $words i32) (param $factors i32) (param $count i32) (result i64)
    ;; Two, so that none waits for the other.
    (local $sums v128) (local $others v128) (local $sum i64)
    (loop $four
      (if (i32.ge_u (local.get $count) (i32.const 4)) (then
        (local.set $sums (i64x2.add (local.get $sums) (i64x2.mul
          (v128.load (local.get $words)) (v128.load (local.get $factors)))))
        (local.set $others (i64x2.add (local.get $others) (i64x2.mul
          (v128.load offset=16 (local.get $words)) (v128.load offset=16 (local.get $factors)))))
        (local.set $words (i32.add (local.get $words) (i32.const 32)))
        (local.set $factors (i32.add (local.get $factors) (i32.const 32)))
        (local.set $count (i32.sub (local.get $count) (i32.const 4)))
        (br $four))))
    (local.set $sums (i64x2.add (local.get $sums) (local.get $others)))
    (local.set $sum (i64.add
      (i64x2.extract_lane 0 (local.get $sums)) (i64x2.extract_lane 1 (local.get $sums))))
    (loop $one
      (if (local.get $count) (then
        (local.set $sum (i64.add (local.get $sum) (i64.mul
          (i64.load (local.get $words)) (i64.load (local.get $factors)))))
        (local.set $words (i32.add (local.get $words) (i32.const 8)))
        (local.set $factors (i32.add (local.get $factors) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $one))))
    (local.get $sum))

  ;; Write `count` bfloat16 at `codes` as float32 at `floats`. They may end at the same address: what is
  ;; written never overtakes what is read.
  (func (export "widen_bfloat16") (param $codes i32) (param $floats i32) (param $count i32)
    (local $eight v128)
    (loop $eights
      (if (i32.ge_u (local.get $count) (i32.const 8)) (then
        (local.set $eight (v128.load (local.get $codes)))
        (v128.store (local.get $floats)
          (i32x4.shl (i32x4.extend_low_i16x8_u (local.get $eight)) (i32.const 16)))
        (v128.store offset=16 (local.get $floats)
          (i32x4.shl (i32x4.extend_high_i16x8_u (local.get $eight)) (i32.const 16)))
        (local.set $codes (i32.add (local.get $codes) (i32.const 16)))
        (local.set $floats (i32.add (local.get $floats) (i32.const 32)))
        (local.set $count (i32.sub (local.get $count) (i32.const 8)))
        (br $eights))))
    (loop $one
      (if (local.get $count) (then
        (i32.store (local.get $floats)
          (i32.shl (i32.load16_u (local.get $codes)) (i32.const 16)))
        (local.set $codes (i32.add (local.get $codes) (i32.const 2)))
        (local.set $floats (i32.add (local.get $floats) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $one))))))
