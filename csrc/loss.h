/* loss.h -- what a loss file needs, and its entry for the table.
 *
 * A file in losses/ names itself (RULE, LOSS_FILE), includes this, and below, once per (instruction set, dtype),
 * gives FN(point): value and derivative of one sample, in double whatever the dtype. A loss of several outputs
 * gives FN(samples) itself. */
#include "objective.h"
#include "for_each_variant.h"
#include "exponential.h"
#include "scalar.h"

typedef struct {
    double value, derivative;
} point;

#define FO_TEMPLATE "loss_driver.h"
#include "for_each_variant.h"

#define FO_SAMPLES_OF(dtype, isa) FO_SYMBOL(RULE, samples, dtype, isa),
static fo_loss_kernel *const loss_variants[] = {FO_FOR_EACH_VARIANT(FO_SAMPLES_OF)};
const fo_loss FO_PASTE(FO_PASTE(fo_, RULE), _loss) = {FO_STRING(RULE), loss_variants};
