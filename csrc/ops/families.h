// One function a family of ops; registry.cpp calls them all.
#pragma once

namespace ranvier {

class Registry;
void declare_elementwise(Registry& r);
void declare_comparisons(Registry& r);
void declare_reductions(Registry& r);
void declare_matmul(Registry& r);
void declare_linear(Registry& r);
void declare_sparse(Registry& r);
void declare_matrix_products(Registry& r);
void declare_einsum(Registry& r);
void declare_erfinv(Registry& r);
void declare_softmax(Registry& r);
void declare_dropouts(Registry& r);
void declare_row_norms(Registry& r);
void declare_batch_norm(Registry& r);
void declare_activations(Registry& r);
void declare_losses(Registry& r);
void declare_class_losses(Registry& r);
void declare_views(Registry& r);
void declare_parts(Registry& r);
void declare_data(Registry& r);
void declare_indexing(Registry& r);
void declare_advanced_indexing(Registry& r);
void declare_joins(Registry& r);
void declare_scatters(Registry& r);
void declare_fills(Registry& r);
void declare_sorts(Registry& r);
void declare_rearrangements(Registry& r);
void declare_pads(Registry& r);
void declare_triangles(Registry& r);
void declare_random(Registry& r);
void declare_random_discrete(Registry& r);
void declare_updates(Registry& r);
void declare_perceptron(Registry& r);
void declare_regions(Registry& r);

}  // namespace ranvier
