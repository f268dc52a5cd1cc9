;; The loops over all bytes of an array for which NumPy takes up to five times as long (Pyodide 314), as
;; WebAssembly on Python's own memory. _loops.py has the same ones in NumPy. Addresses need not be
;; aligned, counts may be 0.
(module
  (import "python" "memory" (memory 0))

  ;; What `combined` of _checksum.py returns of `count` 64-bit words at `words`. At `factors` are those of a
  ;; piece of 32,768 words, and behind them the base.
  (func (export "combined")
    (param $words i32) (param $count i32) (param $factors i32) (result i64)
    ;; `count` is of what is behind the piece.
    (local $piece i32) (local $place i32) (local $base i64) (local $total i64)
    ;; Of the words and of those four bytes later; two each, so that none waits for the other.
    (local $a v128) (local $b v128) (local $c v128) (local $d v128) (local $f v128)
    (local $sum i64) (local $later i64)
    (local.set $base (i64.load offset=262144 (local.get $factors)))
    (loop $pieces
      (if (local.get $count) (then
        (local.set $piece (select (i32.const 32768) (local.get $count)
          (i32.gt_u (local.get $count) (i32.const 32768))))
        (local.set $count (i32.sub (local.get $count) (local.get $piece)))
        (local.set $place (local.get $factors))
        (local.set $a (v128.const i64x2 0 0))
        (local.set $b (v128.const i64x2 0 0))
        (local.set $c (v128.const i64x2 0 0))
        (local.set $d (v128.const i64x2 0 0))
        (loop $four
          ;; The last word of all has none four bytes later.
          (if (i32.and (i32.ge_u (local.get $piece) (i32.const 4))
              (i32.ge_u (i32.add (local.get $piece) (local.get $count)) (i32.const 5))) (then
            (local.set $f (v128.load (local.get $place)))
            (local.set $a (i64x2.add (local.get $a)
              (i64x2.mul (v128.load (local.get $words)) (local.get $f))))
            (local.set $c (i64x2.add (local.get $c)
              (i64x2.mul (v128.load offset=4 (local.get $words)) (local.get $f))))
            (local.set $f (v128.load offset=16 (local.get $place)))
            (local.set $b (i64x2.add (local.get $b)
              (i64x2.mul (v128.load offset=16 (local.get $words)) (local.get $f))))
            (local.set $d (i64x2.add (local.get $d)
              (i64x2.mul (v128.load offset=20 (local.get $words)) (local.get $f))))
            (local.set $words (i32.add (local.get $words) (i32.const 32)))
            (local.set $place (i32.add (local.get $place) (i32.const 32)))
            (local.set $piece (i32.sub (local.get $piece) (i32.const 4)))
            (br $four))))
        (local.set $a (i64x2.add (local.get $a) (local.get $b)))
        (local.set $c (i64x2.add (local.get $c) (local.get $d)))
        (local.set $sum (i64.add
          (i64x2.extract_lane 0 (local.get $a)) (i64x2.extract_lane 1 (local.get $a))))
        (local.set $later (i64.add
          (i64x2.extract_lane 0 (local.get $c)) (i64x2.extract_lane 1 (local.get $c))))
        (loop $one
          (if (local.get $piece) (then
            (local.set $sum (i64.add (local.get $sum) (i64.mul
              (i64.load (local.get $words)) (i64.load (local.get $place)))))
            (if (i32.gt_u (i32.add (local.get $piece) (local.get $count)) (i32.const 1)) (then
              (local.set $later (i64.add (local.get $later) (i64.mul
                (i64.load offset=4 (local.get $words)) (i64.load (local.get $place)))))))
            (local.set $words (i32.add (local.get $words) (i32.const 8)))
            (local.set $place (i32.add (local.get $place) (i32.const 8)))
            (local.set $piece (i32.sub (local.get $piece) (i32.const 1)))
            (br $one))))
        (local.set $total (i64.add (i64.mul (i64.add (i64.mul
          (local.get $total) (local.get $base)) (local.get $sum)) (local.get $base)) (local.get $later)))
        (br $pieces))))
    (local.get $total))

  ;; Write `count` bfloat16 at `codes` as float32 at `floats`.
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
