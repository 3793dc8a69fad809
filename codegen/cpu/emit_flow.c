/* Control flow and functions of the emitter: see emit.h. */
#include "codegen/cpu/emit.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <llvm-c/DebugInfo.h>

static LLVMBasicBlockRef new_block(emitter *e, const char *name)
{
    return LLVMAppendBasicBlockInContext(e->cx, e->fn, name);
}

/* ---- counted loops ------------------------------------------------------------------------------------- */

emit_loop emit_for_begin(emitter *e, LLVMValueRef start, LLVMValueRef end, int64_t step)
{
    emit_loop l = {.start = start, .end = end, .step = step};
    if (LLVMIsAConstantInt(start) && LLVMIsAConstantInt(end))
        l.runs = LLVMConstIntGetSExtValue(start) < LLVMConstIntGetSExtValue(end);
    l.before = LLVMGetInsertBlock(e->b);
    l.body = new_block(e, "loop");
    l.after = NULL;
    LLVMPositionBuilderAtEnd(e->b, l.body);
    l.i = LLVMBuildPhi(e->b, e->i64_t, "i");
    return l;
}

LLVMValueRef emit_carry(emitter *e, emit_loop *l, LLVMValueRef init)
{
    assert(l->carries < EMIT_CARRY);
    int k = l->carries++;
    LLVMBasicBlockRef here = LLVMGetInsertBlock(e->b);
    LLVMPositionBuilder(e->b, l->body, LLVMGetFirstInstruction(l->body));   /* phis stay together */
    l->init[k] = init;
    l->phi[k] = l->next[k] = LLVMBuildPhi(e->b, LLVMTypeOf(init), "");
    LLVMPositionBuilderAtEnd(e->b, here);
    return l->phi[k];
}

void emit_next(emit_loop *l, int carry, LLVMValueRef value)
{
    l->next[carry] = value;
}

/* A loop's hints hang on its back edge as a node that names itself first. */
static void hint_unroll(emitter *e, LLVMValueRef branch, int unroll)
{
    LLVMMetadataRef text, hint, parts[3];
    if (unroll > 1) {
        text = LLVMMDStringInContext2(e->cx, "llvm.loop.unroll.count", 22);
        LLVMMetadataRef pair[] = {text, LLVMValueAsMetadata(emit_i32(e, unroll))};
        hint = LLVMMDNodeInContext2(e->cx, pair, 2);
    } else {
        text = LLVMMDStringInContext2(e->cx, "llvm.loop.unroll.disable", 24);
        hint = LLVMMDNodeInContext2(e->cx, &text, 1);
    }
    text = LLVMMDStringInContext2(e->cx, "llvm.loop.vectorize.enable", 26);
    LLVMMetadataRef pair[] = {text, LLVMValueAsMetadata(emit_bool(e, false))};
    LLVMMetadataRef self = LLVMTemporaryMDNode(e->cx, NULL, 0);
    parts[0] = self;
    parts[1] = hint;
    parts[2] = LLVMMDNodeInContext2(e->cx, pair, 2);
    LLVMMetadataRef node = LLVMMDNodeInContext2(e->cx, parts, 3);
    LLVMMetadataReplaceAllUsesWith(self, node);
    LLVMSetMetadata(branch, LLVMGetMDKindIDInContext(e->cx, "llvm.loop", 9),
                    LLVMMetadataAsValue(e->cx, node));
}

void emit_for_end(emitter *e, emit_loop *l)
{
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->b);
    l->after = new_block(e, "");
    LLVMValueRef next = LLVMBuildNSWAdd(e->b, l->i, emit_i64(e, l->step), "");
    LLVMValueRef again = LLVMBuildICmp(e->b, LLVMIntSLT, next, l->end, "");
    hint_unroll(e, LLVMBuildCondBr(e->b, again, l->body, l->after), l->unroll);

    LLVMPositionBuilderAtEnd(e->b, l->before);
    if (l->runs)
        LLVMBuildBr(e->b, l->body);
    else
        LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, l->start, l->end, ""), l->body, l->after);

    LLVMAddIncoming(l->i, (LLVMValueRef[]){l->start, next}, (LLVMBasicBlockRef[]){l->before, latch}, 2);
    for (int k = 0; k < l->carries; k++)
        LLVMAddIncoming(l->phi[k], (LLVMValueRef[]){l->init[k], l->next[k]},
                        (LLVMBasicBlockRef[]){l->before, latch}, 2);

    LLVMPositionBuilderAtEnd(e->b, l->after);
    for (int k = 0; k < l->carries; k++) {
        l->result[k] = l->next[k];
        if (!l->runs) {
            l->result[k] = LLVMBuildPhi(e->b, LLVMTypeOf(l->init[k]), "");
            LLVMAddIncoming(l->result[k], (LLVMValueRef[]){l->init[k], l->next[k]},
                            (LLVMBasicBlockRef[]){l->before, latch}, 2);
        }
    }
}

/* ---- branches ------------------------------------------------------------------------------------------ */

emit_if emit_if_begin(emitter *e, LLVMValueRef cond)
{
    emit_if c = {.before = LLVMGetInsertBlock(e->b)};
    c.then = new_block(e, "then");
    c.after = new_block(e, "");
    c.branch = LLVMBuildCondBr(e->b, cond, c.then, c.after);
    LLVMPositionBuilderAtEnd(e->b, c.then);
    return c;
}

void emit_else(emitter *e, emit_if *c)
{
    c->then_end = LLVMGetInsertBlock(e->b);
    LLVMBuildBr(e->b, c->after);
    c->other = new_block(e, "else");
    LLVMSetSuccessor(c->branch, 1, c->other);
    LLVMPositionBuilderAtEnd(e->b, c->other);
}

void emit_if_end(emitter *e, emit_if *c)
{
    if (c->other) {
        c->other_end = LLVMGetInsertBlock(e->b);
    } else {
        c->then_end = LLVMGetInsertBlock(e->b);
        c->other_end = c->before;
    }
    LLVMBuildBr(e->b, c->after);
    /* blocks in the order of the text, for those who read the IR */
    LLVMMoveBasicBlockAfter(c->after, LLVMGetInsertBlock(e->b));
    LLVMPositionBuilderAtEnd(e->b, c->after);
}

void emit_if_return(emitter *e, emit_if *c)
{
    emit_return(e, NULL);
    LLVMMoveBasicBlockAfter(c->after, LLVMGetInsertBlock(e->b));
    LLVMPositionBuilderAtEnd(e->b, c->after);
}

LLVMValueRef emit_if_value(emitter *e, emit_if *c, LLVMValueRef then, LLVMValueRef otherwise)
{
    LLVMValueRef first = LLVMGetFirstInstruction(c->after);
    LLVMBasicBlockRef here = LLVMGetInsertBlock(e->b);
    if (first)
        LLVMPositionBuilder(e->b, c->after, first);
    else
        LLVMPositionBuilderAtEnd(e->b, c->after);
    LLVMValueRef v = LLVMBuildPhi(e->b, LLVMTypeOf(then), "");
    LLVMAddIncoming(v, (LLVMValueRef[]){then, otherwise}, (LLVMBasicBlockRef[]){c->then_end, c->other_end},
                    2);
    LLVMPositionBuilderAtEnd(e->b, here);
    return v;
}

void emit_if_weight(emitter *e, emit_if *c, bool unlikely)
{
    LLVMMetadataRef parts[] = {
        LLVMMDStringInContext2(e->cx, "branch_weights", 14),
        LLVMValueAsMetadata(emit_i32(e, unlikely ? 1 : 2000)),
        LLVMValueAsMetadata(emit_i32(e, unlikely ? 2000 : 1)),
    };
    LLVMMetadataRef node = LLVMMDNodeInContext2(e->cx, parts, 3);
    LLVMSetMetadata(c->branch, LLVMGetMDKindIDInContext(e->cx, "prof", 4), LLVMMetadataAsValue(e->cx, node));
}

/* ---- functions ----------------------------------------------------------------------------------------- */

void emit_attribute(emitter *e, LLVMValueRef fn, int i, const char *name)
{
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAttributeIndex at =
        i < 0 ? (LLVMAttributeIndex)LLVMAttributeFunctionIndex : (LLVMAttributeIndex)i + 1;
    LLVMAddAttributeAtIndex(fn, at, LLVMCreateEnumAttribute(e->cx, kind, 0));
}

static void set_text(emitter *e, LLVMValueRef fn, const char *key, const char *value)
{
    LLVMAttributeRef a =
        LLVMCreateStringAttribute(e->cx, key, (unsigned)strlen(key), value, (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, a);
}

void emit_keep_counters(emitter *e)
{
    set_text(e, e->fn, EMIT_KEEPS_COUNTERS, "");
}

LLVMValueRef emit_function_begin(emitter *e, const char *name, fn_visibility vis, LLVMTypeRef ret,
                                 const LLVMTypeRef *params, unsigned n)
{
    assert(e->depth < EMIT_DEPTH);
    e->stack[e->depth].fn = e->fn;
    e->stack[e->depth].at = e->fn ? LLVMGetInsertBlock(e->b) : NULL;
    e->stack[e->depth].fp_flags = e->fp_flags;
    e->stack[e->depth].line = LLVMGetCurrentDebugLocation2(e->b);
    e->depth++;

    LLVMTypeRef type = LLVMFunctionType(ret, (LLVMTypeRef *)params, n, 0);
    LLVMValueRef fn = LLVMAddFunction(e->mod, name, type);
    LLVMSetLinkage(fn, vis == FN_INTERNAL ? LLVMInternalLinkage : LLVMExternalLinkage);
    char width[16];
    snprintf(width, sizeof width, "%d", e->target->vector_bits);
    set_text(e, fn, "target-cpu", e->target->cpu);
    set_text(e, fn, "tune-cpu", e->target->tune);
    if (e->target->features[0])
        set_text(e, fn, "target-features", e->target->features);
    set_text(e, fn, "prefer-vector-width", width);
    if (e->debug)
        set_text(e, fn, "frame-pointer", "all");
    emit_attribute(e, fn, -1, "nounwind");
    LLVMSetCurrentDebugLocation2(e->b, NULL);

    e->fn = fn;
    LLVMBasicBlockRef entry = new_block(e, "entry"), body = new_block(e, "body");
    LLVMPositionBuilderAtEnd(e->b, entry);
    LLVMBuildBr(e->b, body);            /* the entry stays apart, for emit_local */
    LLVMPositionBuilderAtEnd(e->b, body);
    return fn;
}

void emit_function_end(emitter *e)
{
    assert(e->depth > 0);
    e->depth--;
    e->fn = e->stack[e->depth].fn;
    e->fp_flags = e->stack[e->depth].fp_flags;
    if (e->fn)
        LLVMPositionBuilderAtEnd(e->b, e->stack[e->depth].at);
    else
        LLVMClearInsertionPosition(e->b);
    LLVMSetCurrentDebugLocation2(e->b, e->stack[e->depth].line);
}

void emit_return(emitter *e, LLVMValueRef v)
{
    if (v)
        LLVMBuildRet(e->b, v);
    else
        LLVMBuildRetVoid(e->b);
}

LLVMValueRef emit_param(emitter *e, unsigned i)
{
    return LLVMGetParam(e->fn, i);
}

LLVMValueRef emit_call(emitter *e, LLVMValueRef fn, const LLVMValueRef *args, unsigned n)
{
    LLVMValueRef call = LLVMBuildCall2(e->b, LLVMGlobalGetValueType(fn), fn, (LLVMValueRef *)args, n, "");
    LLVMSetInstructionCallConv(call, LLVMGetFunctionCallConv(fn));
    return call;
}

LLVMValueRef emit_call_extern(emitter *e, const char *name, LLVMTypeRef ret, const LLVMValueRef *args,
                              unsigned n)
{
    enum { MOST = 24 };
    assert(n <= MOST);
    LLVMValueRef fn = LLVMGetNamedFunction(e->mod, name);
    if (!fn) {
        LLVMTypeRef types[MOST];
        for (unsigned i = 0; i < n; i++)
            types[i] = LLVMTypeOf(args[i]);
        fn = LLVMAddFunction(e->mod, name, LLVMFunctionType(ret, types, n, 0));
        emit_attribute(e, fn, -1, "nounwind");
    }
    return emit_call(e, fn, args, n);
}

LLVMValueRef emit_intrinsic(emitter *e, const char *name, const LLVMTypeRef *over, unsigned n_over,
                            const LLVMValueRef *args, unsigned n)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    assert(id);
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(e->mod, id, (LLVMTypeRef *)over, n_over);
    return emit_call(e, fn, args, n);
}
