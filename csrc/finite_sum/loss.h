/* loss.h -- what a loss file needs, and its entry for the table.
 *
 * A file in losses/ names itself (RULE, LOSS_FILE), includes this, and below, once per (instruction set, dtype),
 * gives FN(point): value and derivative of one sample, in double whatever the dtype. A loss of several outputs
 * gives FN(samples) itself. */
#include "finite_sum/objective.h"
#include "core/variants.h"
#include "core/exponential.h"
#include "core/powers.h"

typedef struct {
    double value, derivative;
} point;

#define FO_TEMPLATE "finite_sum/loss_tmpl.h"
#include "core/variants.h"

#define FO_SAMPLES_OF(dtype, isa) FO_SYMBOL(RULE, samples, dtype, isa),
static fo_loss_kernel *const loss_variants[] = {FO_FOR_EACH_VARIANT(FO_SAMPLES_OF)};
const fo_loss FO_PASTE(FO_PASTE(fo_, RULE), _loss) = {FO_STRING(RULE), loss_variants};
