/* loss.h -- what a loss file needs, and its entry for the table in core/dispatch.c.
 *
 * A file in losses/ names itself (LOSS, LOSS_FILE), includes this, and below, once per (instruction set, dtype),
 * gives FN(point), value and derivative of one sample, and FN(invariant), its invariant step: in double whatever the
 * dtype. A loss of several outputs defines SEVERAL_OUTPUTS before it includes this, and gives neither, but FN(labels):
 * the loop over the samples. */
#include "finite_sum/invariant.h"
#include "finite_sum/objective.h"
#include "core/variants.h"

/* Of one sample: the loss, and its derivative by the margin. */
typedef struct {
    double value, derivative;
} point;

#define PREFIX LOSS
#define FO_TEMPLATE "finite_sum/loss_tmpl.h"
#include "core/variants.h"
FO_KERNEL_TABLE(const fo_loss_kernels);

const fo_loss FO_PASTE(FO_PASTE(fo_, LOSS), _loss) = {FO_STRING(LOSS), kernel_table};
