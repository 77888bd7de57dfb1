/* closed_form.h -- FO_CLOSED_FORM: the rule gives the parameters from its state and the penalties so far, as FTRL does
 * (McMahan 2011). Columns that no sample touches need no lagged updates; they are solved for when they are read. */
#ifndef FO_CLOSED_FORM_STEPS_H
#define FO_CLOSED_FORM_STEPS_H

#include "finite_sum/minibatch.h"

/* One step with the gradient that is bound to the worker's array, penalties included. */
void fo_step_closed_form(const fo_minibatch *it);

/* Brings `part`, a view of the parameters whose bound gradient is zero, to what it is after t steps, of which the last
 * had this learning rate. The state stays as it is. */
void fo_solve_closed_form(const fo_minibatch *it, fo_array part, int64_t t, double learning_rate, int num_threads);

#endif
