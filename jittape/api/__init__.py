"""What users call, and how a call is answered.

The transforms, by the names that users know (check_grads: jittape.check):
    gradients  grad, value_and_grad, jvp, jit
    pullback   vjp
    jacobian   jacobian, hessian, hvp; with directions, holomorphic
    sparse     their sparse=True; with compressed, nonzeros
    vmap, scan, checkpoint
    custom     custom_vjp, stop_gradient, register_ufunc; with opaque
    inspect    trace
A call, in the order in which it goes through these:
    call       the decorated function; pickling, cache_info
    quick      the call that is like the last one
    signature  its key
    cache, paths, recorded      what is kept per key: states, a trie of paths, tapes
    state      what the function reads besides its arguments, and whether it is what it was;
               found by reach, reach_library, findings, direct, code_names
    run, backend                a tape meets what executes it
    compare    whether two recordings are one program
    verify     the debugging modes
Loops that are one instruction:
    loop_op, loop_body, loop_run, loop_forward, loop_reverse, loop_segment, binomial
    loop_blocks, loop_parts    done in blocks
    loop_inner                 run inside of a program's sweep
"""
