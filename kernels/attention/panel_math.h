// Part of Ropewalk, MIT licence.
#pragma once
#include <algorithm>
#include <limits>

#include "kernels/attention/panel_kernels.h"
#include "kernels/attention/tile.h"
#include "kernels/matmul/gemm_tile.h"

namespace rw::kernels {

/// exp(x) for x <= 88 as fast_exp's (simd_math.h), but 0 below exp(-87.3) and for minus infinity.
RW_AVX2_INLINE __m256 exp8(__m256 x) {
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504F)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375F), x);
  r = _mm256_fmadd_ps(n, _mm256_set1_ps(2.12194440e-4F), r);
  __m256 p = _mm256_set1_ps(1.9875691500e-4F);
  for (const float c :
       {1.3981999507e-3F, 8.3334519073e-3F, 4.1665795894e-2F, 1.6666665459e-1F, 5.0000001201e-1F}) {
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(c));
  }
  p = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r), _mm256_set1_ps(1.0F));
  const __m256i power =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  const __m256 seen = _mm256_cmp_ps(x, _mm256_set1_ps(-87.3F), _CMP_NLT_UQ);  // NaN stays NaN
  return _mm256_and_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(power)), seen);
}

/// What sixteen lanes are multiplied by.
struct LaneFactor {
  __m256 low, high;
  RW_AVX2_INLINE void apply(float* row) const {
    _mm256_store_ps(row, _mm256_mul_ps(_mm256_load_ps(row), low));
    _mm256_store_ps(row + 8, _mm256_mul_ps(_mm256_load_ps(row + 8), high));
  }
};

/// scores [keys, 16] become exponentials; returns the factor for what was summed before.
RW_AVX2_INLINE LaneFactor take_scores(float* scores, std::int64_t keys, SoftmaxLanes& running) {
  __m256 low = _mm256_load_ps(running.largest);
  __m256 high = _mm256_load_ps(running.largest + 8);
  for (std::int64_t k = 0; k < keys; ++k) {
    low = _mm256_max_ps(low, _mm256_load_ps(scores + k * kLanes));
    high = _mm256_max_ps(high, _mm256_load_ps(scores + k * kLanes + 8));
  }
  const LaneFactor factor{exp8(_mm256_sub_ps(_mm256_load_ps(running.largest), low)),
                          exp8(_mm256_sub_ps(_mm256_load_ps(running.largest + 8), high))};
  __m256 low_sum = _mm256_mul_ps(_mm256_load_ps(running.sum), factor.low);
  __m256 high_sum = _mm256_mul_ps(_mm256_load_ps(running.sum + 8), factor.high);
  for (std::int64_t k = 0; k < keys; ++k) {
    float* row = scores + k * kLanes;
    const __m256 p_low = exp8(_mm256_sub_ps(_mm256_load_ps(row), low));
    const __m256 p_high = exp8(_mm256_sub_ps(_mm256_load_ps(row + 8), high));
    _mm256_store_ps(row, p_low);
    _mm256_store_ps(row + 8, p_high);
    low_sum = _mm256_add_ps(low_sum, p_low);
    high_sum = _mm256_add_ps(high_sum, p_high);
  }
  _mm256_store_ps(running.largest, low);
  _mm256_store_ps(running.largest + 8, high);
  _mm256_store_ps(running.sum, low_sum);
  _mm256_store_ps(running.sum + 8, high_sum);
  return factor;
}

/// Minus infinity where a key comes after the query: rows of scores [keys, 16], the first of which is
/// key `first_key`, lane l being query first_query + l.
RW_AVX2_INLINE void mask_scores(std::int64_t first_key, std::int64_t first_query, std::int64_t keys,
                                float* scores) {
  const __m256 never = _mm256_set1_ps(-std::numeric_limits<float>::infinity());
  const __m256i low = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i high = _mm256_add_epi32(low, _mm256_set1_epi32(8));
  for (std::int64_t k = std::max<std::int64_t>(0, first_query + 1 - first_key); k < keys; ++k) {
    const __m256i after = _mm256_set1_epi32(static_cast<int>(first_key + k - first_query));
    float* row = scores + k * kLanes;
    const __m256 hide_low = _mm256_castsi256_ps(_mm256_cmpgt_epi32(after, low));
    const __m256 hide_high = _mm256_castsi256_ps(_mm256_cmpgt_epi32(after, high));
    _mm256_store_ps(row, _mm256_blendv_ps(_mm256_load_ps(row), never, hide_low));
    _mm256_store_ps(row + 8, _mm256_blendv_ps(_mm256_load_ps(row + 8), never, hide_high));
  }
}

/// scores [keys, 16] become probabilities p = exp(score − lse), dscores p · (dscores − along).
RW_AVX2_INLINE void take_probabilities(const ProbabilityLanes& at, std::int64_t keys) {
  for (std::int64_t half = 0; half < kLanes; half += 8) {
    const __m256 lse = _mm256_load_ps(at.lse + half);
    const __m256 along = _mm256_load_ps(at.along + half);
    for (std::int64_t k = 0; k < keys; ++k) {
      float* score = at.scores + k * kLanes + half;
      float* dscore = at.dscores + k * kLanes + half;
      const __m256 p = exp8(_mm256_sub_ps(_mm256_load_ps(score), lse));
      _mm256_store_ps(score, p);
      _mm256_store_ps(dscore, _mm256_mul_ps(p, _mm256_sub_ps(_mm256_load_ps(dscore), along)));
    }
  }
}

}  // namespace rw::kernels
