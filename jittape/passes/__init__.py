"""Passes: from a Tape to a Tape, and from a Tape to the tables of a Program.

Derivatives and batches, by templates of rules that are pasted:
    template, paste, activity, differentiate, accumulate, batch, batch_rules; recording
Fewer instructions for the same numbers, in the order in which program.compile_program runs them:
    simplify, zeros, associate, linear, disjoint, triangles, components, component_rules
A step of a loop in parts (api/loop_blocks.py):
    fission, affine, elimination, cut
Sparsity, and the directions that show a sparse matrix:
    lift, sparsity, one_lane, colour, lanes, periods
Planning:
    views      how values lie in the buffers of others
    classify   what each instruction is to the executor
    schedule   which instructions run together
    recompute, memory    what is stored, and where
Lowering, one module for each way in which an instruction runs:
    scalars, opcodes, chains, loops     rows of the scalar sweep
    inner                               loops, programs inside of a program
    groups, hoist, kernels, strips, strip_code      blocks of elementwise code
    calls, products, lapack             steps of their own
    lower      all of it as one table of words
For tests: verify
"""
